//! Waiting until the operator and the proxies have done what was asked for. Nothing is taken back when the wait ends.

use std::time::Duration;

use crds::{DesiredState, SessionPool};
use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::{Instant, sleep};

use crate::{
    connect::Cluster,
    failure::Failure,
    fleet::PERIOD,
    output::count,
    pools::{self, condition},
    progress::Progress,
};

/// What a proxy that says nothing is given after a drain's deadline by the operator, and then some.
const AFTER_DEADLINE: Duration = Duration::from_secs(30);
/// Longest wait for anything but a drain.
const USUAL: Duration = Duration::from_secs(300);
/// When nobody took note of a change for so long, there is a hint.
const SILENCE: Duration = Duration::from_secs(15);
/// Errors of the API server in a row that are waited out.
const BAD_LUCK: usize = 10;

/// What is waited for.
#[derive(Debug, Clone)]
pub enum Goal {
    /// No session is open.
    Drained,
    /// The pool serves again.
    Resumed,
    /// Every session is replaced; with the token.
    Reset(String),
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// It goes on: what, and how long yet.
    Going(String, String),
    /// It is done, in these words.
    Done(String),
    /// It will not come to an end.
    Over(String),
}

/// Waits for a goal that the object of this generation asks for.
///
/// # Errors
/// If it takes longer than `patience`, Ctrl-C is pressed, or somebody else takes it back.
pub async fn until(
    cluster: &Cluster,
    pool: &SessionPool,
    goal: &Goal,
    patience: Option<Duration>,
) -> Result<String, Failure> {
    let name = pool.name_any();
    let patience = patience.unwrap_or_else(|| goal.usual(pool));
    let mut progress = Progress::new();
    let ended = tokio::select! {
        ended = follow(cluster, pool, goal, &mut progress) => ended,
        () = sleep(patience) => {
            let seconds = patience.as_secs();
            Err(Failure::TimedOut(format!("{} not done after {seconds} s; {}", goal.noun(), goal.goes_on(&name))))
        }
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::Interrupted(format!("interrupted; {}", goal.goes_on(&name))))
        }
    };
    progress.end();
    ended
}

async fn follow(
    cluster: &Cluster,
    pool: &SessionPool,
    goal: &Goal,
    progress: &mut Progress,
) -> Result<String, Failure> {
    let (name, generation) = (pool.name_any(), pool.metadata.generation);
    let begun = Instant::now();
    let mut failures = 0;
    let mut hinted = false;
    loop {
        match pools::get(cluster, &name).await {
            Ok(now) => {
                failures = 0;
                match goal.stand(&now, generation, Timestamp::now()) {
                    Stand::Done(text) => return Ok(text),
                    Stand::Over(text) => return Err(Failure::Other(text)),
                    Stand::Going(state, left) => progress.show(&state, &left),
                }
                if !hinted && begun.elapsed() > SILENCE && !is_seen(&now, generation) {
                    hinted = true;
                    progress.show(
                        "the operator has not taken note of it: `kubectl sessionpool check` tells why",
                        "",
                    );
                }
            }
            // An API server that is replaced is back in a moment.
            Err(Failure::Unreachable(_) | Failure::Other(_)) if failures < BAD_LUCK => failures += 1,
            Err(failure) => return Err(failure),
        }
        sleep(PERIOD).await;
    }
}

fn is_seen(pool: &SessionPool, generation: Option<i64>) -> bool {
    pool.status.as_ref().and_then(|status| status.observed_generation) >= generation
}

impl Goal {
    fn usual(&self, pool: &SessionPool) -> Duration {
        match self {
            Self::Drained => {
                let timeout = u64::from(pool.spec.drain.timeout_seconds.unsigned_abs());
                Duration::from_secs(timeout) + AFTER_DEADLINE
            }
            Self::Resumed | Self::Reset(_) => USUAL,
        }
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Drained => "the drain is",
            Self::Resumed => "the resume is",
            Self::Reset(_) => "the reset is",
        }
    }

    fn goes_on(&self, name: &str) -> String {
        match self {
            Self::Drained => format!(
                "the drain goes on: `kubectl sessionpool status {name}` shows it, `kubectl sessionpool resume {name}` takes it \
                 back"
            ),
            Self::Resumed => {
                format!("the pool goes on resuming: `kubectl sessionpool status {name}` shows it")
            }
            Self::Reset(_) => format!("the reset goes on: `kubectl sessionpool status {name}` shows it"),
        }
    }

    /// Where it stands.
    pub fn stand(&self, pool: &SessionPool, generation: Option<i64>, now: Timestamp) -> Stand {
        let nothing = String::new;
        if !is_seen(pool, generation) {
            return Stand::Going("waiting for the operator".to_owned(), nothing());
        }
        match self {
            Self::Drained => draining(pool, now),
            Self::Resumed => resuming(pool),
            Self::Reset(token) => resetting(pool, token),
        }
    }
}

fn draining(pool: &SessionPool, now: Timestamp) -> Stand {
    if pool.spec.desired_state != DesiredState::Drained {
        return Stand::Over("somebody has resumed the pool".to_owned());
    }
    let status = pool.status.clone().unwrap_or_default();
    let drain = status.drain.unwrap_or_default();
    let drained = condition(pool, "Drained");
    if let Some(done) = drained.filter(|drained| drained.status == "True") {
        return Stand::Done(match done.reason.as_str() {
            "DrainCompleted" => {
                format!("drained: {} closed", count(drain.closed_sessions, "session", "sessions"))
            }
            _ => format!("drained: {}", done.message),
        });
    }
    let remaining = count(drain.remaining_sessions, "session remains", "sessions remain");
    let timeout = jiff::SignedDuration::from_secs(pool.spec.drain.timeout_seconds.into());
    let deadline = drain.start_time.and_then(|start| start.0.checked_add(timeout).ok());
    let left = deadline.map(|deadline| deadline.duration_since(now).as_secs().max(0));
    let left = left.map(|left| format!("{left} s left")).unwrap_or_default();
    Stand::Going(format!("draining: {remaining}"), left)
}

fn resuming(pool: &SessionPool) -> Stand {
    if pool.spec.desired_state == DesiredState::Drained {
        return Stand::Over("somebody has drained the pool again".to_owned());
    }
    let drained = condition(pool, "Drained").is_some_and(|drained| drained.status == "True");
    let ready = condition(pool, "Ready");
    match ready {
        Some(ready) if ready.status == "True" && !drained => {
            Stand::Done(format!("resumed: {}", ready.message))
        }
        Some(ready) => Stand::Going(format!("resuming: {}", ready.message), String::new()),
        None => Stand::Going("resuming".to_owned(), String::new()),
    }
}

fn resetting(pool: &SessionPool, token: &str) -> Stand {
    let reset = pool.status.as_ref().and_then(|status| status.reset.clone()).unwrap_or_default();
    if reset.observed_tokens.iter().any(|known| known == token) {
        return Stand::Done(match pool.spec.desired_state {
            DesiredState::Drained => "the pool is drained: there was no session to replace".to_owned(),
            DesiredState::Active => {
                format!("reset: {} replaced", count(reset.run.closed_sessions, "session", "sessions"))
            }
        });
    }
    if pool.spec.reset_token.as_deref() != Some(token) {
        return Stand::Over("somebody has put another resetToken into the specification".to_owned());
    }
    let remaining = count(reset.run.remaining_sessions, "session remains", "sessions remain");
    let progressing = condition(pool, "Progressing").filter(|progressing| progressing.reason == "Resetting");
    let detail = progressing.map(|progressing| format!(" ({})", progressing.message)).unwrap_or_default();
    Stand::Going(format!("resetting: {remaining}{detail}"), String::new())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pool(spec: &Value, status: &Value) -> SessionPool {
        let mut spec = spec.clone();
        spec["upstream"] = json!({"url": "http://mcp.example.com/mcp"});
        let metadata = json!({"name": "web", "generation": 2});
        let object = json!({"metadata": metadata, "spec": spec, "status": status});
        serde_json::from_value(object).unwrap()
    }

    fn drained(status: &str, reason: &str) -> Value {
        json!([{
            "type": "Drained", "status": status, "reason": reason, "message": "2 requests were ended at the deadline",
            "lastTransitionTime": "2026-01-01T00:00:00Z"
        }])
    }

    #[test]
    fn a_drain_is_followed_to_its_end() {
        let spec = json!({"desiredState": "Drained", "drain": {"timeoutSeconds": 60}});
        let now = "2026-01-01T00:00:20Z".parse().unwrap();
        let stand = |status: Value| Goal::Drained.stand(&pool(&spec, &status), Some(2), now);
        assert!(matches!(stand(json!({"observedGeneration": 1})), Stand::Going(..)));
        let drain = json!({"startTime": "2026-01-01T00:00:00Z", "remainingSessions": 1, "closedSessions": 4});
        let going =
            json!({"observedGeneration": 2, "drain": drain, "conditions": drained("False", "Draining")});
        assert_eq!(
            stand(going),
            Stand::Going("draining: 1 session remains".to_owned(), "40 s left".to_owned())
        );
        let done =
            json!({"observedGeneration": 2, "drain": drain, "conditions": drained("True", "DrainCompleted")});
        assert_eq!(stand(done), Stand::Done("drained: 4 sessions closed".to_owned()));
        let ended = json!({"observedGeneration": 2, "drain": drain, "conditions": drained("True", "DeadlineExceeded")});
        assert_eq!(stand(ended), Stand::Done("drained: 2 requests were ended at the deadline".to_owned()));
        let taken_back = pool(&json!({}), &json!({"observedGeneration": 3}));
        assert!(matches!(Goal::Drained.stand(&taken_back, Some(2), now), Stand::Over(_)));
    }

    #[test]
    fn a_reset_is_done_when_its_token_was_observed() {
        let now = Timestamp::UNIX_EPOCH;
        let stand = |spec: Value, reset: Value| {
            let status = json!({"observedGeneration": 2, "reset": reset});
            Goal::Reset("b".to_owned()).stand(&pool(&spec, &status), Some(2), now)
        };
        let asked = json!({"resetToken": "b"});
        assert!(
            matches!(stand(asked.clone(), json!({"observedTokens": ["a"], "remainingSessions": 3})), Stand::Going(text, _) if text.contains("3 sessions"))
        );
        assert!(matches!(
            stand(asked, json!({"observedTokens": ["a", "b"], "closedSessions": 2})),
            Stand::Done(_)
        ));
        assert!(matches!(
            stand(json!({"resetToken": "c"}), json!({"observedTokens": ["a"]})),
            Stand::Over(_)
        ));
    }
}
