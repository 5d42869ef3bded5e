//! Prints `crds/sessionpool.yaml`.

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let written = crds::schema::yaml().map(|yaml| std::io::stdout().write_all(yaml.as_bytes()));
    if matches!(written, Ok(Ok(()))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
