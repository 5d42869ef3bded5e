//! From a snapshot to metric families.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary,
};

use super::Requests;
use crate::{
    config::Config,
    pool::{Snapshot, stats},
};

/// Every family of the pool.
pub(super) fn of(config: &Config, now: &Snapshot, clients: usize, requests: &Requests) -> Vec<MetricFamily> {
    let maker = Maker { server_id: &config.server_id };
    let limits = config.limits();
    let by_status = [("active", now.active), ("available", now.available), ("unhealthy", now.unhealthy)];
    let sessions = |name, help| {
        let metrics =
            by_status.iter().map(|(status, count)| maker.gauge(&[("status", status)], *count as f64));
        family(name, help, MetricType::GAUGE, metrics.collect())
    };
    let gauge = |name, help, value: usize| {
        family(name, help, MetricType::GAUGE, vec![maker.gauge(&[], value as f64)])
    };
    let counter =
        |name, help, value: u64| family(name, help, MetricType::COUNTER, vec![maker.counter(&[], value)]);
    let count = &now.counters;
    let sizes = [("min", limits.min), ("max", limits.max)];
    let sizes = sizes.iter().map(|(bound, size)| maker.gauge(&[("bound", bound)], *size as f64));
    let classes = requests.by_class().map(|(class, count)| maker.counter(&[("code", class)], count));
    vec![
        sessions("mcpgateway_pool_sessions_total", "Sessions of the pool by status (a gauge)."),
        sessions("mcpgateway_pool_sessions", "Sessions of the pool by status."),
        gauge(
            "mcpgateway_pool_direct_sessions",
            "Sessions outside the pool, one for each client session.",
            now.direct,
        ),
        gauge("mcpgateway_pool_initializing_sessions", "Sessions that are being opened.", now.initializing),
        gauge("mcpgateway_pool_leases", "Requests that hold a session.", now.leases),
        gauge("mcpgateway_pool_waiters", "Requests that wait for a session.", now.waiting),
        gauge("mcpgateway_pool_client_sessions", "Client sessions that this replica knows.", clients),
        family(
            "mcpgateway_pool_size",
            "Configured bounds of the pool's size.",
            MetricType::GAUGE,
            sizes.collect(),
        ),
        counter("mcpgateway_pool_acquisitions_total", "Sessions handed to requests.", count.acquisitions),
        counter("mcpgateway_pool_releases_total", "Sessions given back by requests.", count.releases),
        counter(
            "mcpgateway_pool_timeouts_total",
            "Requests that waited for a session in vain.",
            count.timeouts,
        ),
        counter("mcpgateway_pool_refusals_total", "Requests refused since too many waited.", count.refusals),
        counter("mcpgateway_pool_creates_total", "Sessions opened.", count.creates),
        counter("mcpgateway_pool_destroys_total", "Sessions closed or lost.", count.destroys),
        counter(
            "mcpgateway_pool_connect_failures_total",
            "Sessions that could not be opened.",
            count.connect_failures,
        ),
        counter(
            "mcpgateway_pool_foreign_tokens_total",
            "Session ids that came with another principal's credential.",
            requests.foreign(),
        ),
        family(
            "mcpgateway_pool_requests_total",
            "HTTP requests by answer.",
            MetricType::COUNTER,
            classes.collect(),
        ),
        family(
            "mcpgateway_pool_acquire_wait_seconds",
            "Time from a request's turn to ask until it has a session.",
            MetricType::HISTOGRAM,
            vec![maker.histogram(&now.counters.wait)],
        ),
        family(
            "mcpgateway_pool_session_age_seconds",
            "Ages of the pool's sessions.",
            MetricType::SUMMARY,
            vec![maker.ages(now)],
        ),
    ]
}

struct Maker<'a> {
    server_id: &'a str,
}

impl Maker<'_> {
    fn metric(&self, labels: &[(&str, &str)]) -> Metric {
        let pair = |(name, value): (&str, &str)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        };
        let all = std::iter::once(("server_id", self.server_id)).chain(labels.iter().copied());
        let mut metric = Metric::default();
        metric.set_label(all.map(pair).collect());
        metric
    }

    fn gauge(&self, labels: &[(&str, &str)], value: f64) -> Metric {
        let mut metric = self.metric(labels);
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
        metric
    }

    fn counter(&self, labels: &[(&str, &str)], value: u64) -> Metric {
        let mut metric = self.metric(labels);
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        metric.set_counter(counter);
        metric
    }

    fn histogram(&self, values: &stats::Histogram) -> Metric {
        let bucket = |(bound, count): (f64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(count);
            bucket.set_upper_bound(bound);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(values.buckets().map(bucket).collect());
        histogram.set_sample_count(values.count);
        histogram.set_sample_sum(values.sum);
        let mut metric = self.metric(&[]);
        metric.set_histogram(histogram);
        metric
    }

    fn ages(&self, now: &Snapshot) -> Metric {
        let seconds: Vec<f64> = now.ages.iter().map(std::time::Duration::as_secs_f64).collect();
        let quantile = |share: usize| {
            let at = seconds.len().saturating_sub(1) * share / 100;
            let mut quantile = Quantile::default();
            quantile.set_quantile(share as f64 / 100.0);
            quantile.set_value(seconds.get(at).copied().unwrap_or(f64::NAN));
            quantile
        };
        let mut summary = Summary::default();
        summary.set_quantile([50, 90, 99].map(quantile).into());
        summary.set_sample_count(seconds.len() as u64);
        summary.set_sample_sum(seconds.iter().sum());
        let mut metric = self.metric(&[]);
        metric.set_summary(summary);
        metric
    }
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
