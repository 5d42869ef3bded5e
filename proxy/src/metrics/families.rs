//! From a snapshot to metric families.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary,
};

use super::Requests;
use crate::{
    config::Config,
    gateway::Gateway,
    pool::{CloseReason, EndpointInfo, PinReason, Snapshot, stats},
};

/// Every family of the pool. `refused`: the newest configuration is not in force.
pub(super) fn of(
    gateway: &Gateway,
    endpoints: &[(String, EndpointInfo)],
    refused: bool,
) -> Vec<MetricFamily> {
    let (config, now) = (&*gateway.config.load(), &gateway.pool.snapshot());
    let maker = Maker { server_id: &config.server_id };
    let mut all = gauges(&maker, config, now, [gateway.clients.len(), gateway.keyring.count()]);
    all.extend(counters(&maker, now, &gateway.requests));
    all.extend(faults(&maker, gateway.pool.reachable(now), refused));
    all.extend(of_endpoints(&maker, endpoints));
    all.extend(gateway.peers.as_ref().map(|peers| {
        let outcomes = &peers.outcomes;
        let each = outcomes.by_name().map(|(outcome, count)| maker.counter(&[("outcome", outcome)], count));
        family(
            "sessionpool_peer_forwarded_total",
            "Messages sent to the proxy that their client session is with, by outcome.",
            MetricType::COUNTER,
            each.into(),
        )
    }));
    all.push(maker.histograms(
        "mcpgateway_pool_acquire_wait_seconds",
        "Time from a request's turn to ask until it has a session.",
        &now.counters.wait,
    ));
    all.push(maker.histograms(
        "mcpgateway_pool_call_seconds",
        "Time from sending a request to its answer.",
        &now.counters.call,
    ));
    all.push(family(
        "mcpgateway_pool_session_age_seconds",
        "Ages of the pool's sessions.",
        MetricType::SUMMARY,
        vec![maker.ages(now)],
    ));
    all
}

fn gauges(
    maker: &Maker<'_>,
    config: &Config,
    now: &Snapshot,
    [clients, keys]: [usize; 2],
) -> Vec<MetricFamily> {
    let limits = config.limits();
    let by_status = [("active", now.active), ("available", now.available), ("unhealthy", now.unhealthy)];
    let sessions = |name, help| {
        let metrics =
            by_status.iter().map(|(status, count)| maker.gauge(&[("status", status)], *count as f64));
        family(name, help, MetricType::GAUGE, metrics.collect())
    };
    let one = |name, help, value: f64| family(name, help, MetricType::GAUGE, vec![maker.gauge(&[], value)]);
    let gauge = |name, help, value: usize| one(name, help, value as f64);
    let sizes = [("min", limits.min), ("max", limits.max)];
    let sizes = sizes.iter().map(|(bound, size)| maker.gauge(&[("bound", bound)], *size as f64));
    let pinned = PinReason::ALL.iter().zip(now.pinned);
    let pinned =
        pinned.map(|(reason, count)| maker.gauge(&[("reason", reason.as_str())], count as f64)).collect();
    vec![
        sessions("mcpgateway_pool_sessions_total", "Sessions of the pool by status (a gauge)."),
        sessions("mcpgateway_pool_sessions", "Sessions of the pool by status."),
        gauge(
            "mcpgateway_pool_direct_sessions",
            "Sessions outside the pool, one for each client session.",
            now.direct,
        ),
        gauge("mcpgateway_pool_initializing_sessions", "Sessions that are being opened.", now.initializing),
        gauge(
            "mcpgateway_pool_unchecked_sessions",
            "Idle sessions that are checked before their next use.",
            now.needs_check,
        ),
        family(
            "mcpgateway_pool_pinned_sessions",
            "Sessions that serve one client only since it left something in them.",
            MetricType::GAUGE,
            pinned,
        ),
        gauge(
            "mcpgateway_pool_session_keys",
            "Keys whose client sessions are good: more than one while a key is rotated.",
            keys,
        ),
        gauge("mcpgateway_pool_bound_keys", "Affinity keys that are bound to a session.", now.bound_keys),
        gauge("mcpgateway_pool_leases", "Requests that hold a session.", now.leases),
        gauge("mcpgateway_pool_waiters", "Requests that wait for a session.", now.waiting),
        one(
            "mcpgateway_pool_longest_wait_seconds",
            "How long the request that waits longest has waited.",
            now.longest_wait.as_secs_f64(),
        ),
        gauge("mcpgateway_pool_client_sessions", "Client sessions that this replica knows.", clients),
        gauge(
            "mcpgateway_pool_draining",
            "1 while the pool takes no new work, else 0.",
            usize::from(now.draining),
        ),
        family(
            "mcpgateway_pool_size",
            "Configured bounds of the pool's size.",
            MetricType::GAUGE,
            sizes.collect(),
        ),
    ]
}

fn counters(maker: &Maker<'_>, now: &Snapshot, requests: &Requests) -> Vec<MetricFamily> {
    let count = &now.counters;
    let plain = [
        ("acquisitions", "Sessions handed to requests.", count.acquisitions),
        ("releases", "Sessions given back by requests.", count.releases),
        ("timeouts", "Requests that waited for a session in vain.", count.timeouts),
        ("refusals", "Requests refused at once, since there were too many.", count.refusals),
        ("creates", "Sessions opened.", count.creates),
        ("destroys", "Sessions closed or lost.", count.destroys),
        ("direct_creates", "Sessions opened outside the pool.", count.direct_creates),
        ("direct_destroys", "Sessions outside the pool that were closed or lost.", count.direct_destroys),
        ("connect_failures", "Sessions that could not be opened.", count.connect_failures),
        (
            "recycle_deferrals",
            "Sessions that were due for recycling and stayed for the keys bound to them.",
            count.deferrals,
        ),
        ("resets", "Resets of the pool.", now.epoch),
        ("repeats", "Requests that were sent a second time after a loss.", requests.repeats()),
        (
            "state_losses",
            "Clients that were told that their state in a session is gone.",
            requests.state_losses(),
        ),
        (
            "drain_refusals",
            "Requests refused since the pool drained or was drained.",
            requests.drain_refusals(),
        ),
        ("drain_aborts", "Requests that a drain's deadline ended.", requests.drain_aborts()),
        (
            "unattributed_requests",
            "Requests of the server that no client could be asked.",
            requests.unattributed_requests(),
        ),
        (
            "unattributed_notifications",
            "Notifications of the server that belonged to no one client.",
            requests.unattributed_notifications(),
        ),
        ("foreign_tokens", "Session ids that came with another principal's credential.", requests.foreign()),
    ];
    let plain = plain.into_iter().map(|(name, help, value)| {
        let name = format!("mcpgateway_pool_{name}_total");
        family(&name, help, MetricType::COUNTER, vec![maker.counter(&[], value)])
    });
    let closed = CloseReason::ALL.iter().zip(count.closed);
    let closed = closed.map(|(reason, count)| maker.counter(&[("reason", reason.as_str())], count));
    let pins = PinReason::ALL.iter().zip(count.pins);
    let pins = pins.map(|(reason, count)| maker.counter(&[("reason", reason.as_str())], count));
    let classes = requests.by_class().map(|(class, count)| maker.counter(&[("code", class)], count));
    let mut all: Vec<_> = plain.collect();
    let mut labelled = |name, help, metrics| all.push(family(name, help, MetricType::COUNTER, metrics));
    labelled(
        "mcpgateway_pool_closed_sessions_total",
        "Sessions closed or lost, by reason.",
        closed.collect(),
    );
    labelled("mcpgateway_pool_pins_total", "Clients that were pinned to a session.", pins.collect());
    labelled("mcpgateway_pool_requests_total", "HTTP requests by answer.", classes.collect());
    all
}

/// What is wrong, as 1 and 0. Nothing is known of the server before the first attempt to reach it.
fn faults(maker: &Maker<'_>, reachable: Option<bool>, refused: bool) -> Vec<MetricFamily> {
    let flag = |name, help, holds: bool| {
        family(name, help, MetricType::GAUGE, vec![maker.gauge(&[], f64::from(u8::from(holds)))])
    };
    let refused = flag(
        "mcpgateway_pool_configuration_refused",
        "1 while the newest configuration is refused and the one before stays in force, else 0.",
        refused,
    );
    let reachable = reachable.map(|holds| {
        flag(
            "mcpgateway_pool_upstream_reachable",
            "1 if the last attempt to open a session succeeded, else 0.",
            holds,
        )
    });
    reachable.into_iter().chain([refused]).collect()
}

fn of_endpoints(maker: &Maker<'_>, endpoints: &[(String, EndpointInfo)]) -> Vec<MetricFamily> {
    let each = |name, help, value: &dyn Fn(&EndpointInfo) -> f64| {
        let metrics =
            endpoints.iter().map(|(label, info)| maker.gauge(&[("endpoint", label)], value(info))).collect();
        family(name, help, MetricType::GAUGE, metrics)
    };
    vec![
        each("mcpgateway_pool_endpoint_sessions", "Sessions to each address of the server.", &|info| {
            info.slots as f64
        }),
        each("mcpgateway_pool_endpoint_leases", "Requests that each address works on.", &|info| {
            info.leases as f64
        }),
        each(
            "mcpgateway_pool_endpoint_call_seconds",
            "Time that a call to each address is expected to take (peak EWMA).",
            &|info| info.latency,
        ),
        each(
            "mcpgateway_pool_endpoint_available",
            "1 while an address gets requests; 0 while it is left alone after failures.",
            &|info| f64::from(u8::from(matches!(info.state, "active" | "recovering"))),
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

    fn histograms(&self, name: &str, help: &str, values: &stats::Histogram) -> MetricFamily {
        family(name, help, MetricType::HISTOGRAM, vec![self.histogram(values)])
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
