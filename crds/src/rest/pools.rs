//! What operator and proxy do behind REST.

use async_trait::async_trait;

use super::{
    access::{Caller, Permissions, Right},
    change::Change,
    config::PoolConfig,
    history::History,
    id::ServerId,
    model::{Detail, Sessions, Stats, Summary},
    problem::Problem,
};
use crate::{PoolDefaults, SessionPoolSpec, optimize::Advice};
use axum::http::StatusCode;

/// The pools that REST is about. Every method may fail with a [`Problem`], which is answered as it is.
#[async_trait]
pub trait Pools: Send + Sync + 'static {
    /// Who has this bearer token; 401 when nobody has.
    async fn authenticate(&self, token: &str) -> Result<Caller, Problem>;

    /// Whether a caller has a right to a pool, whether or not there is one.
    async fn may(&self, caller: &Caller, right: Right, id: &ServerId) -> Result<bool, Problem>;

    /// Every pool that the caller may see.
    async fn list(&self, caller: &Caller) -> Result<Vec<Summary>, Problem>;

    /// Everything about a pool.
    async fn detail(&self, id: &ServerId, permissions: Permissions) -> Result<Detail, Problem>;

    /// The parameters in force.
    async fn config(&self, id: &ServerId) -> Result<PoolConfig, Problem>;

    /// Changes a pool, and gives the parameters that are then in force.
    async fn write(&self, id: &ServerId, write: Write) -> Result<PoolConfig, Problem>;

    /// Its statistics.
    async fn stats(&self, id: &ServerId) -> Result<Stats, Problem>;

    /// Its sessions.
    async fn sessions(&self, id: &ServerId) -> Result<Sessions, Problem>;

    /// Its last hour.
    async fn history(&self, id: &ServerId) -> Result<History, Problem>;

    /// What should be changed, and why.
    async fn advice(&self, id: &ServerId) -> Result<Advice, Problem>;
}

/// A change and under which conditions it is made.
#[derive(Debug, Clone)]
pub struct Write {
    /// What is to change.
    pub change: Change,
    /// The states of the configuration that it is meant for.
    pub if_match: Option<IfMatch>,
    /// Whether the caller may end sessions that are in use.
    pub may_operate: bool,
}

/// An `If-Match` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(String);

impl IfMatch {
    /// The header's value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Whether it names an entity tag.
    pub fn names(&self, etag: &str) -> bool {
        self.0.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag)
    }
}

impl Write {
    /// The specification that it makes of `before`; nothing where it changes nothing. `current` are the parameters in force.
    ///
    /// # Errors
    /// 403, 409, 412 or 422 where it must not be made.
    pub fn follow(
        &self,
        before: &SessionPoolSpec,
        current: &PoolConfig,
        defaults: &PoolDefaults,
        id: &ServerId,
    ) -> Result<SessionPoolSpec, Problem> {
        if self.if_match.as_ref().is_some_and(|tags| !tags.names(&current.etag())) {
            let detail = format!(
                "the configuration is another by now: its entity tag is {}; get it again and send your change with that",
                current.etag()
            );
            return Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail));
        }
        if self.change.stops(before) && !self.may_operate {
            return Err(lacking(Right::Operate, id));
        }
        if self.change.resets() && before.desired_state == crate::DesiredState::Drained {
            let detail = "the pool is drained and has no session to replace: resume it instead, it then opens new ones";
            return Err(Problem::conflict(detail));
        }
        self.change.apply(before, defaults)
    }
}

/// 403 with the right that the caller lacks.
pub(super) fn lacking(right: Right, id: &ServerId) -> Problem {
    let role = if right == Right::Operate { "admin" } else { "edit" };
    Problem::forbidden(format!(
        "you lack the verb {right} of mcpgateway.io in namespace {}, which the role {role} has",
        id.namespace
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DesiredState, EffectiveSettings};

    fn follow(write: &Write, before: &SessionPoolSpec) -> Result<SessionPoolSpec, u16> {
        let defaults = PoolDefaults::built_in();
        let current = PoolConfig::from(&EffectiveSettings::of(before, &defaults));
        let id = ServerId::new("a", "b");
        write.follow(before, &current, &defaults, &id).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_write_needs_its_conditions() {
        let before = SessionPoolSpec { pool_enabled: true, ..Default::default() };
        let mut write = Write { change: Change::drain(Some(5)), if_match: None, may_operate: false };
        assert_eq!(follow(&write, &before), Err(403));
        write.may_operate = true;
        let drained = follow(&write, &before).unwrap();
        assert_eq!((drained.desired_state, drained.drain.timeout_seconds), (DesiredState::Drained, 5));
        write.change = Change::reset("a");
        assert_eq!(follow(&write, &drained), Err(409));
        assert_eq!(follow(&write, &before).unwrap().reset_token.as_deref(), Some("a"));
        write.if_match = Some(IfMatch::new("\"x\""));
        assert_eq!(follow(&write, &before), Err(412));
        let tag = PoolConfig::from(&EffectiveSettings::of(&before, &PoolDefaults::built_in())).etag();
        write.if_match = Some(IfMatch::new(format!("\"x\", {tag}")));
        assert!(follow(&write, &before).is_ok());
    }
}
