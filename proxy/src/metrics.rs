//! Prometheus metrics.
//!
//! The documented names are kept to the letter. `mcpgateway_pool_sessions_total` is a gauge in spite of its name;
//! `mcpgateway_pool_sessions` is the same under a name that follows the conventions.

mod families;
mod requests;

use std::sync::Arc;

use prometheus::{
    Encoder, Registry, TextEncoder,
    core::{Collector, Desc},
    proto::MetricFamily,
};

pub use self::requests::Requests;
use crate::{gateway::Gateway, reload::Reload};

/// Registers everything and writes it down when asked.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Metrics of this process.
    ///
    /// # Errors
    /// If two metrics have one name.
    pub fn new(gateway: &Arc<Gateway>, reload: &Arc<Reload>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(PoolCollector(Arc::clone(gateway), Arc::clone(reload))))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry })
    }

    /// The text exposition format.
    ///
    /// # Errors
    /// If a metric is malformed.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }

    /// The content type of [`Self::text`].
    pub fn content_type() -> &'static str {
        prometheus::TEXT_FORMAT
    }
}

/// Makes the metrics from a snapshot when they are asked for, so that requests pay nothing for them.
struct PoolCollector(Arc<Gateway>, Arc<Reload>);

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gateway = &self.0;
        let label = |id| gateway.pool.connector().label(id).map(|label| label.to_string());
        let endpoints = gateway.pool.endpoints().into_iter();
        let endpoints: Vec<_> = endpoints.filter_map(|(id, info)| Some((label(id)?, info))).collect();
        families::of(gateway, &endpoints, self.1.error().is_some())
    }
}
