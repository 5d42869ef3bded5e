//! Taking over a changed configuration file.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use crate::{config::Config, gateway::Gateway};

/// The file is looked at this often. The kubelet swaps a link above the file, which no watch on the file shows.
const PERIOD: Duration = Duration::from_millis(500);

/// Watches the configuration file. A wrong one is reported, and the one in force stays.
pub struct Reload {
    path: PathBuf,
    gateway: Arc<Gateway>,
    error: ArcSwapOption<String>,
    /// Asks for a look at once.
    pub now: Notify,
}

impl Reload {
    /// Watches `path` for the gateway that runs what it held.
    pub fn new(path: PathBuf, gateway: Arc<Gateway>) -> Self {
        Self { path, gateway, error: ArcSwapOption::empty(), now: Notify::new() }
    }

    /// Why the file's present content is not in force.
    pub fn error(&self) -> Option<String> {
        self.error.load_full().map(|error| (*error).clone())
    }

    /// Looks after the file for ever. `seen` is the content in force.
    pub async fn run(&self, mut seen: Option<Vec<u8>>) {
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(PERIOD) => false,
                () = self.now.notified() => true,
            };
            let content = fs::read(&self.path).ok();
            if content != seen || asked {
                self.take_over();
                seen = content;
            }
        }
    }

    fn take_over(&self) {
        match Config::load(&self.path) {
            Ok(config) => {
                let pool = &self.gateway.pool;
                pool.connector().set_destination(config.destination());
                let (limits, warm) = (config.limits(), config.warm_key());
                self.error.store(None);
                tracing::info!(revision = config.revision.as_deref(), "configuration in force");
                self.gateway.config.store(Arc::new(config));
                pool.close_outdated();
                pool.set_limits(limits, warm);
            }
            Err(error) => {
                tracing::error!(%error, "configuration refused; the one in force stays");
                self.error.store(Some(Arc::new(error.to_string())));
            }
        }
    }
}
