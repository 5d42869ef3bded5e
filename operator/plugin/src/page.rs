//! Everything about one pool, as one value; its text is in `text`.

mod text;

use crds::{Phase, SessionPool, status::Recommendation};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Event, apimachinery::pkg::apis::meta::v1::Condition};
use kube::ResourceExt;
use serde::Serialize;

use crate::{
    fleet::{Fleet, Replica},
    numbers::Numbers,
    pools::{condition, server_id},
};

/// See the module's text.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// `<namespace>.<name>`.
    pub server_id: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The conditions in one word.
    pub phase: Option<Phase>,
    /// Why it is not active; none if it is.
    pub why: Option<String>,
    /// Where clients connect.
    pub url: Option<String>,
    /// What the pool stands before, in a few words.
    pub upstream: String,
    /// Whether the operator has seen the newest specification.
    pub observed: bool,
    /// The specification.
    pub spec: crds::SessionPoolSpec,
    /// The documented parameters in force.
    pub effective: Option<crds::EffectiveSettings>,
    /// What is counted.
    pub numbers: Numbers,
    /// When the status was last seen to change, where the numbers are its.
    pub numbers_time: Option<Timestamp>,
    /// Why numbers are missing or old, and what to do about it.
    pub note: Option<String>,
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// Each proxy.
    pub replicas: Vec<Replica>,
    /// The last drain.
    pub drain: Option<crds::OperationStatus>,
    /// The last reset.
    pub reset: Option<crds::ResetStatus>,
    /// Advice.
    pub recommendation: Option<Recommendation>,
    /// What happened, the last at the end.
    pub events: Vec<Happening>,
    /// Why it can't be told what happened.
    pub events_error: Option<String>,
    /// When the pool was made.
    pub created: Option<Timestamp>,
}

/// An event.
#[derive(Debug, Clone, Serialize)]
pub struct Happening {
    /// When it was last seen.
    pub time: Option<Timestamp>,
    /// Whether somebody should act.
    pub warning: bool,
    /// Its reason.
    pub reason: String,
    /// Its text.
    pub message: String,
}

impl Happening {
    /// From the API's event, which holds its time in one of several places.
    pub fn of(event: Event) -> Self {
        let series = event.series.and_then(|series| series.last_observed_time);
        let time = series.or(event.event_time).map(|time| time.0);
        let older = event.last_timestamp.or(event.first_timestamp).map(|time| time.0);
        Self {
            time: time.or(older),
            warning: event.type_.as_deref() == Some("Warning"),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
        }
    }
}

impl Page {
    /// All that was learnt of a pool.
    pub fn of(
        pool: &SessionPool,
        fleet: Fleet,
        events: Result<Vec<Happening>, String>,
        now: Timestamp,
    ) -> Self {
        let numbers = Numbers::of(pool, &fleet.stats());
        let (events, events_error) = match events {
            Ok(events) => (events, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            numbers,
            note: fleet.note,
            replicas: fleet.replicas,
            events,
            events_error,
            ..Self::brief(pool, now)
        }
    }

    /// What the object alone says.
    pub fn brief(pool: &SessionPool, _now: Timestamp) -> Self {
        let status = pool.status.clone().unwrap_or_default();
        Self {
            server_id: server_id(pool),
            namespace: pool.namespace().unwrap_or_default(),
            name: pool.name_any(),
            phase: status.phase,
            why: why(pool),
            url: status.url,
            upstream: upstream(pool),
            observed: status.observed_generation >= pool.metadata.generation,
            spec: pool.spec.clone(),
            effective: status.effective,
            numbers: Numbers::of(pool, &[]),
            numbers_time: status.stats.and_then(|stats| stats.observed_time).map(|time| time.0),
            note: None,
            conditions: status.conditions,
            replicas: Vec::new(),
            drain: status.drain,
            reset: status.reset,
            recommendation: status.recommendation,
            events: Vec::new(),
            events_error: None,
            created: pool.creation_timestamp().map(|time| time.0),
        }
    }
}

/// Why a pool is not active; none if it is.
pub fn why(pool: &SessionPool) -> Option<String> {
    let status = pool.status.as_ref();
    let Some(phase) = status.and_then(|status| status.phase) else {
        return Some("the operator has not seen it yet".to_owned());
    };
    let says = |kind: &str, holds: &str| {
        condition(pool, kind).filter(|condition| condition.status == holds).map(|found| found.message.clone())
    };
    match phase {
        Phase::Active => None,
        Phase::Draining | Phase::Drained => condition(pool, "Drained").map(|drained| drained.message.clone()),
        Phase::Resetting => says("Progressing", "True"),
        Phase::Disabled => says("Ready", "True"),
        Phase::Degraded => says("Degraded", "True").or_else(|| says("Ready", "False")),
        Phase::Failed => says("Resolved", "False").or_else(|| says("Ready", "False")),
        Phase::Pending => says("Ready", "False").or_else(|| says("Progressing", "True")),
    }
}

fn upstream(pool: &SessionPool) -> String {
    let upstream = &pool.spec.upstream;
    if let Some(url) = &upstream.url {
        return url.clone();
    }
    if let Some(service) = &upstream.service_ref {
        return format!("Service {}", service.name);
    }
    if let Some(template) = &upstream.template {
        return format!("image {} beside each proxy", template.image);
    }
    if upstream.sidecar.is_some() {
        return "the pods that carry the proxy".to_owned();
    }
    match upstream.endpoints.as_slice() {
        [one] => one.url.clone(),
        [] => "-".to_owned(),
        several => format!("{} endpoints", several.len()),
    }
}
