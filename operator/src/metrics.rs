//! The operator's own metrics.

use std::time::Instant;

use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Every metric of the operator, registered once.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Reconciles by result: ok, error, or conflict when the object changed meanwhile.
    pub reconciles: IntCounterVec,
    /// Failed and refused reconciles by reason.
    pub errors: IntCounterVec,
    /// Seconds that a reconcile took.
    pub duration: Histogram,
    /// Reconciles that run now.
    pub active: IntGauge,
    /// 1 when this process acts on pools.
    pub leader: IntGauge,
    /// Requests to the API server by verb and status code.
    pub requests: IntCounterVec,
    /// One series of value 1 per pool.
    pub info: IntGaugeVec,
    /// One series per condition of a pool: 1 where it holds.
    pub conditions: IntGaugeVec,
}

impl Metrics {
    /// Registers the metrics in a registry of their own. Fails only when a name is wrong or used twice.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            reconciles: counters(
                "sessionpool_operator_reconcile_total",
                "Reconciles by result.",
                &["result"],
            )?,
            errors: counters(
                "sessionpool_operator_reconcile_errors_total",
                "Failed and refused reconciles by reason.",
                &["reason"],
            )?,
            duration: Histogram::with_opts(
                HistogramOpts::new("sessionpool_operator_reconcile_duration_seconds", "Time of a reconcile.")
                    .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            )?,
            active: IntGauge::new("sessionpool_operator_active_reconciles", "Reconciles that run now.")?,
            leader: IntGauge::new("sessionpool_operator_leader", "1 when this process acts on pools.")?,
            requests: counters(
                "sessionpool_operator_kube_requests_total",
                "Requests to the API server by verb and status code; code is error when no answer came.",
                &["verb", "code"],
            )?,
            info: IntGaugeVec::new(
                Opts::new("sessionpool_info", "One series per SessionPool."),
                &["namespace", "name", "strategy", "phase"],
            )?,
            conditions: IntGaugeVec::new(
                Opts::new(
                    "sessionpool_condition",
                    "Conditions of the SessionPools: 1 where one is true, else 0.",
                ),
                &["namespace", "name", "type", "reason"],
            )?,
            registry,
        };
        let Self { registry, reconciles, errors, duration, active, leader, requests, info, conditions } =
            &metrics;
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(active.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(info.clone()))?;
        registry.register(Box::new(conditions.clone()))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// The exposition text.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Ends the series of a pool that `before` names and `after` does not.
    pub fn replace(&self, before: &Series, after: &Series) {
        // It fails when the series is not there, which is what is wanted.
        if before.info != after.info
            && let Some(labels) = &before.info
        {
            let _gone = self.info.remove_label_values(labels);
        }
        for labels in before.conditions.iter().filter(|labels| !after.conditions.contains(labels)) {
            let _gone = self.conditions.remove_label_values(labels);
        }
    }

    /// Counts a reconcile as running until the guard is dropped.
    pub fn reconciling(&self) -> Running {
        self.active.inc();
        Running { active: self.active.clone(), duration: self.duration.clone(), start: Instant::now() }
    }
}

/// Labels of the series that tell of one pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// That of [`Metrics::info`].
    pub info: Option<[String; 4]>,
    /// Those of [`Metrics::conditions`].
    pub conditions: Vec<[String; 4]>,
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

/// A reconcile that runs; see [`Metrics::reconciling`].
#[derive(Debug)]
pub struct Running {
    active: IntGauge,
    duration: Histogram,
    start: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.active.dec();
        self.duration.observe(self.start.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.reconciles.with_label_values(&["ok"]).inc();
        metrics.errors.with_label_values(&["InvalidSpec"]).inc();
        metrics.requests.with_label_values(&["get", "200"]).inc();
        metrics.info.with_label_values(&["ns", "pool", "RoundRobin", "Active"]).set(1);
        metrics.conditions.with_label_values(&["ns", "pool", "Ready", "AllProxiesReady"]).set(1);
        let running = metrics.reconciling();
        assert_eq!(metrics.active.get(), 1);
        drop(running);
        let text = metrics.render().unwrap();
        for name in [
            "sessionpool_operator_reconcile_total{result=\"ok\"} 1",
            "sessionpool_operator_reconcile_errors_total{reason=\"InvalidSpec\"} 1",
            "sessionpool_operator_reconcile_duration_seconds_count 1",
            "sessionpool_operator_active_reconciles 0",
            "sessionpool_operator_leader 0",
            "sessionpool_operator_kube_requests_total{code=\"200\",verb=\"get\"} 1",
            "sessionpool_condition{name=\"pool\",namespace=\"ns\",reason=\"AllProxiesReady\",type=\"Ready\"} 1",
            "sessionpool_info{name=\"pool\",namespace=\"ns\",phase=\"Active\",strategy=\"RoundRobin\"} 1",
        ] {
            assert!(text.contains(name), "{name} is missing in:\n{text}");
        }
    }
}
