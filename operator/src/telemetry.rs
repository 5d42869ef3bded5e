//! Log set-up.

use std::sync::Arc;

use tracing_subscriber::{EnvFilter, filter::ParseError, reload};

use crate::args::LogFormat;

/// What is logged, to be changed while the process runs.
#[derive(Clone)]
pub struct LogFilter(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl LogFilter {
    /// Puts another filter in force; a wrong one leaves the one before.
    pub fn set(&self, filter: &str) -> Result<(), TelemetryError> {
        (self.0)(parse("", filter)?).map_err(TelemetryError::Reload)
    }
}

/// `origin` says where a filter comes from that nobody has just typed.
fn parse(origin: &'static str, filter: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = |source| TelemetryError::Filter { origin, value: filter.to_owned(), source };
    EnvFilter::try_new(filter).map_err(wrong)
}

/// Sends logs to standard error, filtered by `RUST_LOG`. A wrong filter is an error that names it.
pub fn init(format: LogFormat) -> Result<LogFilter, TelemetryError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(value) if !value.trim().is_empty() => parse("RUST_LOG=", &value)?,
        _ => EnvFilter::new("info"),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let (done, filter) = match format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), LogFilter(Arc::new(move |filter| handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), LogFilter(Arc::new(move |filter| handle.reload(filter))))
        }
    };
    done.map_err(TelemetryError::Installed)?;
    Ok(filter)
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter, from `RUST_LOG` or from a request, is wrong.
    #[error("{origin}{value:?} is no log filter: write for example info,operator=debug")]
    Filter {
        /// `RUST_LOG=` or nothing.
        origin: &'static str,
        /// What it holds.
        value: String,
        /// What is wrong in it.
        source: ParseError,
    },
    /// It can't be changed.
    #[error("the log filter can't be changed")]
    Reload(#[source] reload::Error),
    /// A subscriber is there already.
    #[error("logging is set up already")]
    Installed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
