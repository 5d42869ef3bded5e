//! What the admin port says about the pool.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::hmac;
use crds::{
    optimize::{self, Advice, Observed},
    wire::{AgeQuantiles, EndpointStats, PoolStats, SessionInfo, UpstreamState},
};
use serde_json::{Map, Value};

use crate::{
    gateway::Gateway,
    memory,
    pool::{CloseReason, EndpointId, EndpointInfo, PinReason, SlotInfo, Snapshot},
    readiness::Readiness,
    reload::Reload,
    upstream::{Scope, SessionKey},
};

/// The documented statistics, and what else is known.
pub fn stats(gateway: &Gateway, readiness: &Readiness, reload: &Reload) -> PoolStats {
    let config = gateway.config.load();
    let now = gateway.pool.snapshot();
    let limits = config.limits();
    let error = gateway.pool.last_connect_error();
    let reachable = gateway.pool.reachable(&now);
    let ready = readiness.is_ready();
    let count = |number: usize| number as u64;
    let metadata = &config.pool.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    PoolStats {
        pool_id: metadata.uid.clone().unwrap_or_else(|| format!("pool-{name}")),
        server_id: config.server_id.clone(),
        strategy: config.settings.strategy.snake_case().to_owned(),
        status: status(&now, ready, reachable, config.is_pooled()).to_owned(),
        total_sessions: count(now.total),
        active_sessions: count(now.active),
        available_sessions: count(now.available),
        unhealthy_sessions: count(now.unhealthy),
        min_size: count(limits.min),
        max_size: count(limits.max),
        active_leases: count(now.leases),
        waiting: count(now.waiting),
        initializing: count(now.initializing),
        direct_sessions: count(now.direct),
        client_sessions: count(gateway.clients.len()),
        max_wait_seconds: now.longest_wait.as_secs_f64(),
        needs_check: count(now.needs_check),
        pinned: by_name(PinReason::ALL.map(PinReason::as_str), now.pinned.map(count)),
        bound_keys: count(now.bound_keys),
        epoch: now.epoch,
        reset_token: reload.reset_token(),
        outdated_sessions: count(now.outdated),
        session_age_seconds: AgeQuantiles::of(&seconds(&now.ages)),
        memory_bytes: memory::resident(),
        memory_at_ready_bytes: readiness.memory(),
        endpoints: gateway
            .pool
            .endpoints()
            .into_iter()
            .map(|(id, info)| endpoint(gateway, id, &info))
            .collect(),
        ready,
        generation: metadata.generation,
        config_revision: config.revision.clone(),
        config_error: reload.error(),
        upstream: UpstreamState { reachable, message: error.map(|error| error.to_string()) },
        ..counted(gateway, &now)
    }
}

/// What only grows; all else is zero.
pub fn counters(gateway: &Gateway) -> PoolStats {
    counted(gateway, &gateway.pool.snapshot())
}

fn counted(gateway: &Gateway, now: &Snapshot) -> PoolStats {
    let (counters, requests) = (&now.counters, &gateway.requests);
    PoolStats {
        total_acquisitions: counters.acquisitions,
        total_releases: counters.releases,
        total_timeouts: counters.timeouts,
        total_creates: counters.creates,
        total_destroys: counters.destroys,
        connect_failures: counters.connect_failures,
        total_wait_seconds: counters.wait.sum,
        total_calls: counters.call.count,
        total_call_seconds: counters.call.sum,
        total_call_seconds_squared: counters.call_squared,
        total_refusals: counters.refusals,
        total_pins: by_name(PinReason::ALL.map(PinReason::as_str), counters.pins),
        destroys_by_reason: by_name(CloseReason::ALL.map(CloseReason::as_str), counters.closed),
        recycle_deferrals: counters.deferrals,
        state_losses: requests.state_losses(),
        repeats: requests.repeats(),
        drain_refusals: requests.drain_refusals(),
        drain_aborts: requests.drain_aborts(),
        unattributed_requests: requests.unattributed_requests(),
        unattributed_notifications: requests.unattributed_notifications(),
        ..PoolStats::default()
    }
}

fn seconds(ages: &[Duration]) -> Vec<f64> {
    ages.iter().map(Duration::as_secs_f64).collect()
}

fn status(now: &Snapshot, ready: bool, reachable: Option<bool>, pooled: bool) -> &'static str {
    if now.drained {
        return "drained";
    }
    if now.draining {
        return "draining";
    }
    match (ready, reachable) {
        (false, _) => "pending",
        (true, Some(false)) => "degraded",
        (true, _) if pooled => "active",
        (true, _) => "disabled",
    }
}

/// The names that have a count.
fn by_name<const N: usize>(names: [&str; N], counts: [u64; N]) -> BTreeMap<String, u64> {
    let counted = names.into_iter().zip(counts).filter(|(_, count)| *count > 0);
    counted.map(|(name, count)| (name.to_owned(), count)).collect()
}

fn endpoint(gateway: &Gateway, id: EndpointId, info: &EndpointInfo) -> EndpointStats {
    let label = gateway.pool.connector().label(id);
    EndpointStats {
        endpoint: label.map(|label| label.to_string()).unwrap_or_default(),
        state: info.state.to_owned(),
        weight: info.weight,
        sessions: info.slots as u64,
        leases: info.leases as u64,
        call_seconds: info.latency,
        failures: info.failures,
    }
}

/// What should be changed, from what was measured since the parameters are in force.
pub fn advice(gateway: &Gateway, readiness: &Readiness, reload: &Reload) -> Advice {
    let config = gateway.config.load();
    let (stats, sessions) = (stats(gateway, readiness, reload), sessions(gateway));
    let since_ready = || (stats.clone(), readiness.ready_for().as_secs_f64());
    let (stats, seconds) = reload.measured.of(&stats).unwrap_or_else(since_ready);
    optimize::advise(&Observed {
        settings: &config.settings,
        spec: &config.pool.spec,
        stats: &stats,
        sessions: &sessions,
        seconds,
    })
}

/// Every slot, without what is secret.
pub fn sessions(gateway: &Gateway) -> Vec<SessionInfo> {
    let key = gateway.keyring.sealing();
    gateway.pool.slots().into_iter().map(|slot| session(slot, key.principals())).collect()
}

fn session(slot: SlotInfo<SessionKey>, key: &hmac::Key) -> SessionInfo {
    let scope = match slot.key.scope {
        Scope::Shared => "shared",
        Scope::Principal(_) => "principal",
        Scope::Client(_) => "client",
        Scope::Direct(_) => "direct",
        Scope::Warm => "warm",
    };
    let capabilities: Map<String, Value> = serde_json::from_str(&slot.key.capabilities).unwrap_or_default();
    SessionInfo {
        id: slot.id,
        state: slot.state.to_owned(),
        scope: scope.to_owned(),
        key: short_hash(&slot.key, key),
        capabilities: capabilities.into_iter().map(|(name, _)| name).collect(),
        pinned: slot.pinned.map(ToOwned::to_owned),
        bound_keys: slot.bound_keys as u64,
        needs_check: slot.needs_check,
        epoch: slot.epoch,
        protocol_version: slot.key.version.to_string(),
        endpoint: slot.endpoint,
        age_seconds: slot.age.as_secs_f64(),
        idle_seconds: slot.idle.as_secs_f64(),
        requests: slot.requests,
    }
}

/// Tells keys apart for people; keyed, so that nobody can try out which credential it comes from.
fn short_hash(key: &SessionKey, secret: &hmac::Key) -> String {
    let mut text = match key.scope {
        Scope::Shared => vec![0],
        Scope::Warm => vec![1],
        Scope::Principal(id) => [&[2], &id[..]].concat(),
        Scope::Client(id) => [&[3], &id[..]].concat(),
        Scope::Direct(id) => [&[4], &id[..]].concat(),
    };
    for (name, value) in key.headers.iter() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.push(0);
        text.extend_from_slice(value.as_bytes());
        text.push(0);
    }
    let tag = hmac::sign(secret, &[b"key ", &text[..]].concat());
    let start = tag.as_ref().first_chunk().copied().unwrap_or_default();
    format!("{:08x}", u32::from_be_bytes(start))
}
