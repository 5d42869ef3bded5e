//! Advice on a pool's parameters from what was measured of it. Pure: statistics in, recommendation and reasons out.
//!
//! Each rule is a function that looks at one symptom and may propose changes. Rules see what was measured, never each
//! other's proposals; they are asked in a fixed order, and the first proposal for a parameter stands.

mod merge;
mod rules;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::merge::merge;
use crate::{
    Isolation, PoolStrategy, SessionPoolSpec,
    settings::Settings,
    wire::{PoolStats, SessionInfo},
};

/// All that advice goes by.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// The parameters in force.
    pub settings: &'a Settings,
    /// The specification that they come from.
    pub spec: &'a SessionPoolSpec,
    /// The proxy's statistics.
    pub stats: &'a PoolStats,
    /// Its sessions.
    pub sessions: &'a [SessionInfo],
    /// Seconds over which the statistics' counters have grown, under these settings.
    pub seconds: f64,
}

/// The parameters that advice is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rest", derive(utoipa::ToSchema))]
pub struct Parameters {
    /// Whether sessions are pooled.
    pub pool_enabled: bool,
    /// How a request picks a session, in snake case.
    pub pool_strategy: String,
    /// Sessions kept open.
    pub pool_min_size: u64,
    /// Most sessions.
    pub pool_max_size: u64,
    /// Seconds that a request waits for a session.
    pub pool_timeout: u64,
    /// Age in seconds at which a session is replaced; 0 means never.
    pub pool_recycle_seconds: u64,
    /// Requests after which a session is replaced; 0 means never.
    pub pool_max_requests: u64,
    /// Whose requests share a session, in snake case.
    pub isolation: String,
}

/// Why something should be changed, or can't be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rest", derive(utoipa::ToSchema))]
pub struct Reason {
    /// One word in snake case.
    pub code: String,
    /// The parameter that it is about; none where it is about the server or the traffic.
    pub parameter: Option<String>,
    /// What was measured, and what to do.
    pub message: String,
}

/// A recommendation and its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rest", derive(utoipa::ToSchema))]
pub struct Advice {
    /// What applies.
    pub current: Parameters,
    /// What fits better; equal to `current` where nothing does.
    pub recommended: Parameters,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
}

/// A rule's finding.
pub(crate) struct Finding {
    pub code: &'static str,
    pub message: String,
    pub change: Option<Change>,
}

/// A parameter and the value proposed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Enabled(bool),
    Strategy(PoolStrategy),
    MinSize(u64),
    MaxSize(u64),
    RecycleSeconds(u64),
    MaxRequests(u64),
    Isolation(Isolation),
}

/// Requests before which nothing can be told.
pub(crate) const LEAST_TRAFFIC: u64 = 50;

/// Works out the advice.
pub fn advise(observed: &Observed<'_>) -> Advice {
    let current = Parameters::of(observed.settings, observed.spec);
    let mut recommended = current.clone();
    let mut reasons = Vec::new();
    let mut changed = Vec::new();
    for rule in rules::ALL {
        let Some(finding) = rule(observed) else { continue };
        let parameter = finding.change.map(Change::parameter);
        if parameter.is_some_and(|parameter| changed.contains(&parameter)) {
            continue;
        }
        changed.extend(parameter);
        if let Some(change) = finding.change {
            recommended.apply(change, observed.spec);
        }
        let parameter = parameter.map(ToOwned::to_owned);
        reasons.push(Reason { code: finding.code.to_owned(), parameter, message: finding.message });
    }
    if reasons.is_empty() {
        reasons.push(rules::nothing(observed));
    }
    Advice { current, recommended, reasons }
}

impl Change {
    fn parameter(self) -> &'static str {
        match self {
            Self::Enabled(_) => "pool_enabled",
            Self::Strategy(_) => "pool_strategy",
            Self::MinSize(_) => "pool_min_size",
            Self::MaxSize(_) => "pool_max_size",
            Self::RecycleSeconds(_) => "pool_recycle_seconds",
            Self::MaxRequests(_) => "pool_max_requests",
            Self::Isolation(_) => "isolation",
        }
    }
}

impl Parameters {
    /// Those of a configuration.
    pub fn of(settings: &Settings, spec: &SessionPoolSpec) -> Self {
        Self {
            pool_enabled: spec.pool_enabled,
            pool_strategy: settings.strategy.snake_case().to_owned(),
            pool_min_size: settings.min_size as u64,
            pool_max_size: settings.max_size as u64,
            pool_timeout: settings.timeout.as_secs(),
            pool_recycle_seconds: settings.recycle.map_or(0, |age| age.as_secs()),
            pool_max_requests: settings.max_requests.unwrap_or(0),
            isolation: spec.isolation.snake_case().to_owned(),
        }
    }

    fn apply(&mut self, change: Change, spec: &SessionPoolSpec) {
        let bound = |size: Option<i32>| size.and_then(|size| u64::try_from(size).ok());
        let most = bound(spec.optimization.max_size).unwrap_or(10_000).max(1);
        let least = bound(spec.optimization.min_size).unwrap_or(0).min(most);
        match change {
            Change::Enabled(enabled) => self.pool_enabled = enabled,
            Change::Strategy(strategy) => strategy.snake_case().clone_into(&mut self.pool_strategy),
            Change::MinSize(size) => self.pool_min_size = size.clamp(least, most).min(self.pool_max_size),
            Change::MaxSize(size) => {
                self.pool_max_size = size.clamp(least.max(1), most).max(self.pool_min_size);
            }
            Change::RecycleSeconds(seconds) => self.pool_recycle_seconds = seconds,
            Change::MaxRequests(requests) => self.pool_max_requests = requests,
            Change::Isolation(kind) => kind.snake_case().clone_into(&mut self.isolation),
        }
    }
}
