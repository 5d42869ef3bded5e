//! `kubectl-sessionpool`: see `--help`.

use std::process::ExitCode;

use clap::Parser;
use plugin::{args::Args, commands, complete};

fn main() -> ExitCode {
    complete::answer_shell();
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(commands::run(args));
    // A stream that is still followed must not hold the process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}
