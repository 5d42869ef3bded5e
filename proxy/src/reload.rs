//! Taking over a changed configuration file.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::{
    admin::report,
    config::Config,
    gateway::Gateway,
    measured::Measured,
    operations::{Asked, Operations},
};

/// The file is looked at this often. The kubelet swaps a link above the file, which no watch on the file shows.
const PERIOD: Duration = Duration::from_millis(500);

/// Watches the configuration file. A wrong one is reported, and the one in force stays.
pub struct Reload {
    path: PathBuf,
    gateway: Arc<Gateway>,
    error: ArcSwapOption<String>,
    /// Held while the file is taken over, so that what is in force is what was read last.
    operations: Mutex<Operations>,
    /// What was counted under the parameters in force.
    pub measured: Measured,
    /// Asks for a look at once.
    pub now: Notify,
}

impl Reload {
    /// Watches `path` for the gateway that runs what it held, and has it begin as that asks.
    pub fn new(path: PathBuf, gateway: Arc<Gateway>) -> Self {
        let mut operations = Operations::default();
        gateway.operate(&operations.begin(asked(&gateway.config.load())));
        let (error, operations) = (ArcSwapOption::empty(), Mutex::new(operations));
        Self { path, gateway, error, operations, measured: Measured::default(), now: Notify::new() }
    }

    /// Why the file's present content is not in force.
    pub fn error(&self) -> Option<String> {
        self.error.load_full().map(|error| (*error).clone())
    }

    /// The last reset token that was taken note of.
    pub fn reset_token(&self) -> Option<String> {
        self.operations.lock().token().map(ToOwned::to_owned)
    }

    /// Looks after the file for ever. `seen` is the content in force.
    pub async fn run(&self, mut seen: Option<Vec<u8>>) {
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(PERIOD) => false,
                () = self.now.notified() => true,
            };
            let content = tokio::fs::read(&self.path).await.ok();
            if content != seen || asked {
                self.take_over();
                seen = content;
            }
        }
    }

    /// Reads the file and takes it over at once, if it is good.
    pub fn take_over(&self) {
        let mut before = self.operations.lock();
        match Config::load(&self.path) {
            Ok(mut config) => {
                config.is_many &= self.gateway.peers.is_none();
                self.error.store(None);
                tracing::info!(revision = config.revision.as_deref(), "configuration in force");
                let counters = || report::counters(&self.gateway);
                self.measured.change(&self.gateway.config.load(), &config, counters);
                let operations = before.next(asked(&config));
                self.gateway.take_over(config);
                self.gateway.operate(&operations);
            }
            Err(error) => {
                tracing::error!(%error, "configuration refused; the one in force stays");
                self.error.store(Some(Arc::new(error.to_string())));
            }
        }
    }
}

fn asked(config: &Config) -> Asked<'_> {
    Asked {
        spec: &config.pool.spec,
        deadline: config.drain_deadline,
        date: Timestamp::now(),
        now: Instant::now(),
    }
}
