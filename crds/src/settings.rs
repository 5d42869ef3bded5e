//! Every number of a pool after defaults: the object's value, else the operator's, else the built-in one.

use std::time::Duration;

use crate::{EffectiveSettings, PoolDefaults, PoolStrategy, SessionPoolSpec};

/// The numbers don't fit together once defaults are in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The minimum is above the maximum.
    #[error(
        "poolMinSize {min} is greater than poolMaxSize {max}; where one of them is not set the default applies: set both"
    )]
    MinOverMax {
        /// The minimum in force.
        min: i32,
        /// The maximum in force.
        max: i32,
    },
}

/// See the module's text. Durations of none mean never.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How a request picks a slot.
    pub strategy: PoolStrategy,
    /// Sessions kept open.
    pub min_size: usize,
    /// Most sessions.
    pub max_size: usize,
    /// Longest wait for a session.
    pub timeout: Duration,
    /// Age at which a session is replaced.
    pub recycle: Option<Duration>,
    /// Whether idle sessions are pinged before use.
    pub pre_ping: bool,
    /// Idle time after which they are.
    pub pre_ping_delay: Duration,
    /// Idle time after which a session above the minimum is closed.
    pub idle: Option<Duration>,
    /// Requests after which a session is replaced.
    pub max_requests: Option<u64>,
    /// Quiet time after which a session is pinged.
    pub keepalive: Option<Duration>,
    /// Most requests that wait at once.
    pub max_waiters: usize,
    /// Requests that a session carries at once.
    pub session_concurrency: u32,
    /// Most sessions outside the pool.
    pub max_direct_sessions: usize,
    /// Most sessions of one principal.
    pub max_per_principal: Option<usize>,
    /// Age at which a session is replaced although clients are bound to it.
    pub sticky_max_age: Duration,
    /// How long a drain waits for running requests.
    pub drain_timeout: Duration,
    /// Unused time after which a client session ends.
    pub client_session_idle: Duration,
    /// How long a request goes on after its client disconnected.
    pub disconnect_grace: Duration,
}

impl Settings {
    /// Works the numbers out.
    ///
    /// # Errors
    /// If they don't fit together.
    pub fn resolve(spec: &SessionPoolSpec, defaults: &PoolDefaults) -> Result<Self, SettingsError> {
        let effective = EffectiveSettings::of(spec, defaults);
        let (min, max) = (effective.pool_min_size, effective.pool_max_size);
        if min > max {
            return Err(SettingsError::MinOverMax { min, max });
        }
        let seconds = |value: i32| Duration::from_secs(u64::from(value.unsigned_abs()));
        let unless_zero = |value: i32| (value > 0).then(|| seconds(value));
        Ok(Self {
            strategy: effective.pool_strategy,
            min_size: size(min),
            max_size: size(max),
            timeout: seconds(effective.pool_timeout),
            recycle: unless_zero(effective.pool_recycle_seconds),
            pre_ping: effective.pool_pre_ping,
            pre_ping_delay: seconds(spec.pool_pre_ping_delay_seconds),
            idle: unless_zero(spec.pool_idle_seconds),
            max_requests: u64::try_from(spec.pool_max_requests).ok().filter(|most| *most > 0),
            keepalive: unless_zero(spec.pool_keepalive_seconds),
            max_waiters: size(spec.pool_max_waiters),
            session_concurrency: spec.pool_session_concurrency.unsigned_abs().max(1),
            max_direct_sessions: size(spec.max_direct_sessions),
            max_per_principal: spec.pool_max_per_principal.map(size),
            sticky_max_age: seconds(spec.sticky.clone().unwrap_or_default().max_age_seconds),
            drain_timeout: seconds(spec.drain.timeout_seconds),
            client_session_idle: seconds(spec.client_session_idle_seconds),
            disconnect_grace: seconds(spec.disconnect_grace_seconds),
        })
    }
}

impl EffectiveSettings {
    /// The documented parameters in force, for the status and for renderings.
    pub fn of(spec: &SessionPoolSpec, defaults: &PoolDefaults) -> Self {
        Self {
            pool_enabled: spec.pool_enabled,
            pool_strategy: spec.pool_strategy,
            pool_min_size: spec.pool_min_size.unwrap_or(defaults.min_size),
            pool_max_size: spec.pool_max_size.unwrap_or(defaults.max_size),
            pool_timeout: spec.pool_timeout.unwrap_or(defaults.timeout),
            pool_recycle_seconds: spec.pool_recycle_seconds.unwrap_or(defaults.recycle_seconds),
            pool_pre_ping: spec.pool_pre_ping.unwrap_or(defaults.pre_ping),
        }
    }
}

fn size(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_goes_before_the_operator() {
        let defaults = PoolDefaults { min_size: 2, max_size: 20, ..PoolDefaults::built_in() };
        let spec =
            SessionPoolSpec { pool_max_size: Some(5), pool_recycle_seconds: Some(0), ..Default::default() };
        let settings = Settings::resolve(&spec, &defaults).unwrap();
        assert_eq!((settings.min_size, settings.max_size, settings.recycle), (2, 5, None));
        assert_eq!(settings.timeout, Duration::from_secs(30));
    }

    #[test]
    fn a_default_may_not_fit() {
        let spec = SessionPoolSpec { pool_min_size: Some(11), ..Default::default() };
        let error = Settings::resolve(&spec, &PoolDefaults::built_in()).unwrap_err();
        assert_eq!(error, SettingsError::MinOverMax { min: 11, max: 10 });
    }
}
