//! What a configuration asks of the pool once: drain, resume, reset. Pure: the caller carries it out.

use std::{collections::VecDeque, time::Duration};

use crds::{DesiredState, SessionPoolSpec};
use jiff::Timestamp;
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

/// What a configuration says about operations, and when it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The specification.
    pub spec: &'a SessionPoolSpec,
    /// When a drain is to end what still runs, where somebody has set that for all proxies.
    pub deadline: Option<Timestamp>,
    /// The time, by the clock that the deadline is in.
    pub date: Timestamp,
    /// The same time, by the clock that the pool goes by.
    pub now: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Drain {
    since: Instant,
    timeout: Duration,
    deadline: Option<Timestamp>,
}

impl Operations {
    /// Records the configuration that a process starts with. Its token is not acted on: there is no session yet.
    pub fn begin(&mut self, asked: Asked<'_>) -> Vec<Operation> {
        self.remember(asked.spec);
        self.drain(asked)
    }

    /// What a changed configuration asks for.
    pub fn next(&mut self, asked: Asked<'_>) -> Vec<Operation> {
        let was_drained = self.drain.is_some();
        let new_token = self.remember(asked.spec);
        let mut operations = self.drain(asked);
        // A drained pool has no session that could be replaced.
        if new_token && !was_drained && self.drain.is_none() {
            operations.push(Operation::Reset);
        }
        operations
    }

    /// The last token that was taken note of.
    pub fn token(&self) -> Option<&str> {
        self.tokens.back().map(String::as_str)
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

    fn drain(&mut self, asked: Asked<'_>) -> Vec<Operation> {
        let Asked { spec, deadline, date, now } = asked;
        let timeout = Duration::from_secs(u64::from(spec.drain.timeout_seconds.unsigned_abs()));
        match (spec.desired_state, self.drain) {
            (DesiredState::Active, None) => Vec::new(),
            (DesiredState::Active, Some(_)) => {
                self.drain = None;
                vec![Operation::Resume]
            }
            (DesiredState::Drained, Some(drain))
                if (drain.timeout, drain.deadline) == (timeout, deadline) =>
            {
                Vec::new()
            }
            (DesiredState::Drained, earlier) => {
                // A changed timeout counts from the drain's beginning.
                let since = earlier.map_or(now, |drain| drain.since);
                self.drain = Some(Drain { since, timeout, deadline });
                let left = |at: Timestamp| Duration::try_from(at.duration_since(date)).unwrap_or_default();
                vec![Operation::Drain(deadline.map_or(since + timeout, |at| now + left(at)))]
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

    fn asked(spec: &SessionPoolSpec, now: Instant) -> Asked<'_> {
        Asked { spec, deadline: None, date: Timestamp::UNIX_EPOCH, now }
    }

    #[test]
    fn a_token_acts_once_and_not_at_the_start() {
        let (mut operations, now) = (Operations::default(), Instant::now());
        assert_eq!(operations.begin(asked(&spec(Active, 60, Some("a")), now)), []);
        assert_eq!(operations.next(asked(&spec(Active, 60, Some("b")), now)), [Reset]);
        assert_eq!(operations.next(asked(&spec(Active, 60, Some("b")), now)), []);
        assert_eq!(operations.next(asked(&spec(Active, 60, Some("a")), now)), []);
        assert_eq!(operations.next(asked(&spec(Active, 60, None), now)), []);
        for number in 0..REMEMBERED {
            let token = number.to_string();
            assert_eq!(operations.next(asked(&spec(Active, 60, Some(&token)), now)), [Reset]);
        }
        assert_eq!(operations.next(asked(&spec(Active, 60, Some("0")), now)), []);
        assert_eq!(
            operations.next(asked(&spec(Active, 60, Some("b")), now)),
            [Reset],
            "forgotten after 16 others"
        );
    }

    #[test]
    fn drains_resumes_and_moves_the_deadline() {
        let (mut operations, start) = (Operations::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(operations.next(asked(&spec(Drained, 60, None), start)), [Drain(at(60))]);
        assert_eq!(operations.next(asked(&spec(Drained, 60, None), at(5))), []);
        assert_eq!(operations.next(asked(&spec(Drained, 20, None), at(10))), [Drain(at(20))]);
        assert_eq!(operations.next(asked(&spec(Drained, 20, Some("x")), at(11))), [], "only recorded");
        assert_eq!(operations.next(asked(&spec(Active, 20, Some("x")), at(12))), [Resume]);
        assert_eq!(operations.next(asked(&spec(Active, 20, Some("x")), at(13))), []);
        assert_eq!(Operations::default().begin(asked(&spec(Drained, 7, None), start)), [Drain(at(7))]);
    }

    #[test]
    fn a_common_deadline_goes_before_the_proxys_own() {
        let (mut operations, now, spec) = (Operations::default(), Instant::now(), spec(Drained, 60, None));
        let second = |second| Timestamp::from_second(second).unwrap();
        let asked =
            |deadline, date| Asked { spec: &spec, deadline: Some(second(deadline)), date: second(date), now };
        assert_eq!(operations.next(asked(100, 70)), [Drain(now + Duration::from_secs(30))]);
        assert_eq!(operations.next(asked(100, 80)), []);
        assert_eq!(operations.next(asked(90, 85)), [Drain(now + Duration::from_secs(5))]);
        assert_eq!(Operations::default().begin(asked(100, 200)), [Drain(now)], "it is over");
    }
}
