//! What a configuration asks of the pool once: drain, resume, reset. Pure: the caller carries it out.

use std::{collections::VecDeque, time::Duration};

use crds::{DesiredState, SessionPoolSpec};
use tokio::time::Instant;

/// Reset tokens that are remembered: none of them acts again.
const REMEMBERED: usize = 16;

/// Something to be done to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Take no new work; what still runs at this time is ended.
    Drain(Instant),
    /// Take work again.
    Resume,
    /// Replace every session.
    Reset,
}

/// What was asked for before.
#[derive(Debug, Default)]
pub struct Operations {
    tokens: VecDeque<String>,
    drain: Option<Drain>,
}

#[derive(Debug, Clone, Copy)]
struct Drain {
    since: Instant,
    timeout: Duration,
}

impl Operations {
    /// Records the configuration that a process starts with. Its token is not acted on: there is no session yet.
    pub fn begin(&mut self, spec: &SessionPoolSpec, now: Instant) -> Vec<Operation> {
        self.remember(spec);
        self.drain(spec, now)
    }

    /// What a changed configuration asks for.
    pub fn next(&mut self, spec: &SessionPoolSpec, now: Instant) -> Vec<Operation> {
        let was_drained = self.drain.is_some();
        let new_token = self.remember(spec);
        let mut operations = self.drain(spec, now);
        // A drained pool has no session that could be replaced.
        if new_token && !was_drained && self.drain.is_none() {
            operations.push(Operation::Reset);
        }
        operations
    }

    /// Notes the token; true if it is new.
    fn remember(&mut self, spec: &SessionPoolSpec) -> bool {
        let Some(token) = spec.reset_token.as_ref().filter(|token| !self.tokens.contains(token)) else {
            return false;
        };
        self.tokens.push_back(token.clone());
        if self.tokens.len() > REMEMBERED {
            self.tokens.pop_front();
        }
        true
    }

    fn drain(&mut self, spec: &SessionPoolSpec, now: Instant) -> Vec<Operation> {
        let timeout = Duration::from_secs(u64::from(spec.drain.timeout_seconds.unsigned_abs()));
        match (spec.desired_state, self.drain) {
            (DesiredState::Active, None) => Vec::new(),
            (DesiredState::Active, Some(_)) => {
                self.drain = None;
                vec![Operation::Resume]
            }
            (DesiredState::Drained, Some(drain)) if drain.timeout == timeout => Vec::new(),
            (DesiredState::Drained, earlier) => {
                // A changed timeout counts from the drain's beginning.
                let since = earlier.map_or(now, |drain| drain.since);
                self.drain = Some(Drain { since, timeout });
                vec![Operation::Drain(since + timeout)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(state: DesiredState, timeout: i32, token: Option<&str>) -> SessionPoolSpec {
        SessionPoolSpec {
            desired_state: state,
            drain: crds::Drain { timeout_seconds: timeout },
            reset_token: token.map(Into::into),
            ..SessionPoolSpec::default()
        }
    }

    use DesiredState::{Active, Drained};
    use Operation::{Drain, Reset, Resume};

    #[test]
    fn a_token_acts_once_and_not_at_the_start() {
        let (mut operations, now) = (Operations::default(), Instant::now());
        assert_eq!(operations.begin(&spec(Active, 60, Some("a")), now), []);
        assert_eq!(operations.next(&spec(Active, 60, Some("b")), now), [Reset]);
        assert_eq!(operations.next(&spec(Active, 60, Some("b")), now), []);
        assert_eq!(operations.next(&spec(Active, 60, Some("a")), now), []);
        assert_eq!(operations.next(&spec(Active, 60, None), now), []);
        for number in 0..REMEMBERED {
            let token = number.to_string();
            assert_eq!(operations.next(&spec(Active, 60, Some(&token)), now), [Reset]);
        }
        assert_eq!(operations.next(&spec(Active, 60, Some("0")), now), []);
        assert_eq!(operations.next(&spec(Active, 60, Some("b")), now), [Reset], "forgotten after 16 others");
    }

    #[test]
    fn drains_resumes_and_moves_the_deadline() {
        let (mut operations, start) = (Operations::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(operations.next(&spec(Drained, 60, None), start), [Drain(at(60))]);
        assert_eq!(operations.next(&spec(Drained, 60, None), at(5)), []);
        assert_eq!(operations.next(&spec(Drained, 20, None), at(10)), [Drain(at(20))]);
        assert_eq!(operations.next(&spec(Drained, 20, Some("x")), at(11)), [], "only recorded");
        assert_eq!(operations.next(&spec(Active, 20, Some("x")), at(12)), [Resume]);
        assert_eq!(operations.next(&spec(Active, 20, Some("x")), at(13)), []);
        assert_eq!(Operations::default().begin(&spec(Drained, 7, None), start), [Drain(at(7))]);
    }
}
