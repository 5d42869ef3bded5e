//! Who uses which session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a request picks one of several sessions.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum PoolStrategy {
    /// In circular order.
    #[default]
    RoundRobin,
    /// The one that carries the fewest requests.
    LeastConnections,
    /// The one that the client used before.
    Sticky,
    /// The one that answers fastest for its load and weight.
    Weighted,
    /// One session for each client session, no pooling.
    None,
}

impl PoolStrategy {
    const ALL: [Self; 5] =
        [Self::RoundRobin, Self::LeastConnections, Self::Sticky, Self::Weighted, Self::None];

    /// The strategy of a spelling in REST and metrics.
    pub fn of_snake_case(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.snake_case() == text)
    }

    /// The spelling of REST and metrics.
    pub fn snake_case(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastConnections => "least_connections",
            Self::Sticky => "sticky",
            Self::Weighted => "weighted",
            Self::None => "none",
        }
    }
}

/// Whose requests share a session.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Isolation {
    /// Those of one client session.
    Session,
    /// Those of one principal; a client without a credential shares with nobody.
    #[default]
    Principal,
    /// Everyone's.
    Shared,
}

impl Isolation {
    /// The isolation of a spelling in REST.
    pub fn of_snake_case(text: &str) -> Option<Self> {
        [Self::Session, Self::Principal, Self::Shared].into_iter().find(|known| known.snake_case() == text)
    }

    /// The spelling of REST.
    pub fn snake_case(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Principal => "principal",
            Self::Shared => "shared",
        }
    }
}
