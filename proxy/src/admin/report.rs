//! What the admin port says about the pool.

use crds::wire::{PoolStats, SessionInfo, UpstreamState};

use crate::{
    gateway::Gateway,
    pool::SlotInfo,
    readiness::Readiness,
    reload::Reload,
    upstream::{Scope, SessionKey},
};

/// The documented statistics, and what else is known.
pub(super) fn stats(gateway: &Gateway, readiness: &Readiness, reload: &Reload) -> PoolStats {
    let config = gateway.config.load();
    let now = gateway.pool.snapshot();
    let limits = config.limits();
    let error = gateway.pool.last_connect_error();
    let reachable = if error.is_some() { Some(false) } else { now.ever_connected.then_some(true) };
    let ready = readiness.is_ready();
    let status = match (config.is_pooled(), ready, reachable) {
        (_, false, _) => "pending",
        (_, true, Some(false)) => "degraded",
        (true, true, _) => "active",
        (false, true, _) => "disabled",
    };
    let count = |number: usize| number as u64;
    let metadata = &config.pool.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    PoolStats {
        pool_id: metadata.uid.clone().unwrap_or_else(|| format!("pool-{name}")),
        server_id: config.server_id.clone(),
        strategy: config.settings.strategy.snake_case().to_owned(),
        status: status.to_owned(),
        total_sessions: count(now.total),
        active_sessions: count(now.active),
        available_sessions: count(now.available),
        unhealthy_sessions: count(now.unhealthy),
        min_size: count(limits.min),
        max_size: count(limits.max),
        total_acquisitions: now.counters.acquisitions,
        total_releases: now.counters.releases,
        total_timeouts: now.counters.timeouts,
        total_creates: now.counters.creates,
        total_destroys: now.counters.destroys,
        active_leases: count(now.leases),
        waiting: count(now.waiting),
        initializing: count(now.initializing),
        direct_sessions: count(now.direct),
        client_sessions: count(gateway.clients.len()),
        connect_failures: now.counters.connect_failures,
        ready,
        generation: metadata.generation,
        config_revision: config.revision.clone(),
        config_error: reload.error(),
        upstream: UpstreamState { reachable, message: error.map(|error| error.to_string()) },
        ..PoolStats::default()
    }
}

/// Every slot, without what is secret.
pub(super) fn sessions(gateway: &Gateway) -> Vec<SessionInfo> {
    gateway.pool.slots().into_iter().map(session).collect()
}

fn session(slot: SlotInfo<SessionKey>) -> SessionInfo {
    let scope = match slot.key.scope {
        Scope::Shared => "shared",
        Scope::Principal(_) => "principal",
        Scope::Client(_) => "client",
        Scope::Direct(_) => "direct",
        Scope::Warm => "warm",
    };
    SessionInfo {
        id: slot.id,
        state: slot.state.to_owned(),
        scope: scope.to_owned(),
        protocol_version: slot.key.version.to_string(),
        endpoint: slot.endpoint,
        age_seconds: slot.age.as_secs_f64(),
        idle_seconds: slot.idle.as_secs_f64(),
        requests: slot.requests,
        ..SessionInfo::default()
    }
}
