//! `kubectl-sessionpool`: see `--help`.

use std::process::ExitCode;

use clap::Parser;
use plugin::{args::Args, commands, complete};

fn main() -> ExitCode {
    complete::answer_shell();
    match commands::run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}
