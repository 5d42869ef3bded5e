//! `sessionpool-proxy`.

use std::{num::NonZeroUsize, process::ExitCode};

use clap::Parser;
use proxy::{args::Args, config::Config, run, telemetry};
use tokio::runtime::Builder;

/// The configuration is wrong (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let args = Args::parse();
    telemetry::init(args.log_format);
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if args.check {
        tracing::info!(server_id = config.server_id, "the configuration is good");
        return ExitCode::SUCCESS;
    }
    let threads = args.threads(std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    let runtime = match Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime can't be started");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(args, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
