//! What applies where a specification gives no value; the parameters that `POOL_*` variables back have none here.

use super::{
    DesiredState, Drain, Guard, Isolation, Optimization, PoolStrategy, Proxy, ServiceSpec, SessionPoolSpec,
    Upstream,
};

impl Default for SessionPoolSpec {
    fn default() -> Self {
        Self {
            pool_enabled: false,
            pool_strategy: PoolStrategy::default(),
            pool_min_size: None,
            pool_max_size: None,
            pool_timeout: None,
            pool_recycle_seconds: None,
            pool_pre_ping: None,
            isolation: Isolation::default(),
            pool_session_concurrency: session_concurrency(),
            pool_idle_seconds: idle_seconds(),
            pool_max_requests: 0,
            pool_pre_ping_delay_seconds: pre_ping_delay_seconds(),
            pool_keepalive_seconds: keepalive_seconds(),
            pool_max_waiters: max_waiters(),
            pool_max_per_principal: None,
            max_direct_sessions: max_direct_sessions(),
            client_session_idle_seconds: client_session_idle_seconds(),
            disconnect_grace_seconds: disconnect_grace_seconds(),
            identity_headers: Vec::new(),
            forward_headers: Vec::new(),
            pinning: None,
            sticky: None,
            upstream: Upstream::default(),
            desired_state: DesiredState::default(),
            drain: Drain::default(),
            reset_token: None,
            optimization: Optimization::default(),
            auth: None,
            tls_secret_name: None,
            replicas: replicas(),
            termination_grace_period_seconds: termination_grace_period_seconds(),
            proxy: Proxy::default(),
            service: ServiceSpec::default(),
            guard: Guard::default(),
        }
    }
}

pub(super) fn session_concurrency() -> i32 {
    1
}

pub(super) fn idle_seconds() -> i32 {
    600
}

pub(super) fn pre_ping_delay_seconds() -> i32 {
    5
}

pub(super) fn keepalive_seconds() -> i32 {
    60
}

pub(super) fn max_waiters() -> i32 {
    1000
}

pub(super) fn max_direct_sessions() -> i32 {
    1000
}

pub(super) fn client_session_idle_seconds() -> i32 {
    1800
}

pub(super) fn disconnect_grace_seconds() -> i32 {
    30
}

pub(super) fn replicas() -> i32 {
    1
}

pub(super) fn termination_grace_period_seconds() -> i64 {
    75
}
