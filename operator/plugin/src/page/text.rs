//! A page as people read it.

use crds::{DesiredState, OptimizationMode};
use jiff::Timestamp;

use super::Page;
use crate::{
    numbers::Source,
    output::{age, bold, count, lines, memory, phase, short, table},
};

impl Page {
    /// The page's text.
    pub fn text(&self, now: Timestamp) -> String {
        let title = format!("{} in namespace {}", bold(&self.name), self.namespace);
        let facts =
            self.facts(now).into_iter().map(|(name, value)| format!("{:<16}{value}", format!("{name}:")));
        let mut text = lines([title].into_iter().chain(facts));
        for part in [self.replicas_text(now), self.conditions_text(now), self.events_text(now)] {
            text += &part;
        }
        text
    }

    fn facts(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let spec = &self.spec;
        let mut facts = vec![("Phase", phase(self.phase))];
        let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
        fact("Why", self.why.clone());
        fact(
            "But",
            (!self.observed).then(|| "the operator has not seen the newest specification yet".to_owned()),
        );
        fact("URL", self.url.clone());
        fact("Server", Some(self.upstream.clone()));
        fact("Sizes", self.sizes());
        fact(
            "Strategy",
            self.effective
                .as_ref()
                .map(|effective| format!("{:?}, isolation {:?}", effective.pool_strategy, spec.isolation)),
        );
        fact("Sessions", self.sessions());
        fact("Since start", self.since_start());
        fact("Numbers", Some(self.origin(now)));
        fact("Drain", self.drain_text(now));
        fact("Reset", self.reset_text(now));
        fact("Advice", self.advice_text());
        fact("Age", self.created.map(|created| age(created, now)));
        facts
    }

    fn sizes(&self) -> Option<String> {
        let effective = self.effective.as_ref()?;
        if !effective.pool_enabled {
            return Some("pooling is off: each client has sessions of its own".to_owned());
        }
        let proxies = count(self.spec.replicas, "proxy", "proxies");
        let (min, max) = (effective.pool_min_size, effective.pool_max_size);
        let wait = effective.pool_timeout;
        Some(format!("{min} to {max} sessions for each of {proxies}; a call waits {wait} s at most"))
    }

    fn sessions(&self) -> Option<String> {
        let sum = &self.numbers.sum;
        if self.numbers.source == Source::None {
            return None;
        }
        let mut parts = vec![format!(
            "{} open of {}: {} active, {} available, {} unhealthy",
            sum.total_sessions,
            sum.max_size,
            sum.active_sessions,
            sum.available_sessions,
            sum.unhealthy_sessions
        )];
        if self.numbers.source == Source::Proxies {
            parts.push(format!("{} waiting", count(sum.waiting, "request", "requests")));
            if sum.direct_sessions > 0 {
                parts.push(format!("{} outside of the pool", sum.direct_sessions));
            }
            parts.push(count(sum.client_sessions, "client session", "client sessions"));
        }
        Some(parts.join("; "))
    }

    fn since_start(&self) -> Option<String> {
        let sum = &self.numbers.sum;
        if self.numbers.source == Source::None {
            return None;
        }
        let text = format!(
            "{}, {} in vain; {} opened, {} closed",
            count(sum.total_acquisitions, "acquisition", "acquisitions"),
            count(sum.total_timeouts, "wait", "waits"),
            count(sum.total_creates, "session", "sessions"),
            sum.total_destroys
        );
        let mean = sum.total_call_seconds / sum.total_calls.max(1) as f64;
        Some(if sum.total_calls > 0 { format!("{text}; a call takes {}", short(mean)) } else { text })
    }

    fn origin(&self, now: Timestamp) -> String {
        let answered = self.replicas.iter().filter(|replica| replica.stats.is_some()).count();
        let note = self.note.as_deref().map(|note| format!("; {note}")).unwrap_or_default();
        match self.numbers.source {
            Source::Proxies => format!(
                "live, of {answered} of {}{note}",
                count(self.replicas.len() as u64, "proxy", "proxies")
            ),
            Source::Status => {
                let since = self.numbers_time.map(|time| format!(", unchanged for {}", age(time, now)));
                format!("of the status{}{note}", since.unwrap_or_default())
            }
            Source::None => format!("none yet{note}"),
        }
    }

    fn drain_text(&self, now: Timestamp) -> Option<String> {
        let drain = self.drain.as_ref()?;
        let start = drain.start_time.as_ref()?.0;
        let running = self.spec.desired_state == DesiredState::Drained && drain.completion_time.is_none();
        if running {
            let timeout = jiff::SignedDuration::from_secs(self.spec.drain.timeout_seconds.into());
            let left =
                start.checked_add(timeout).ok().map_or(0, |end| end.duration_since(now).as_secs().max(0));
            let remaining = count(drain.remaining_sessions, "session remains", "sessions remain");
            return Some(format!("running for {}: {remaining}, {left} s left", age(start, now)));
        }
        let closed = count(drain.closed_sessions, "session", "sessions");
        let ended = match &drain.completion_time {
            Some(end) => format!("done after {}: {closed} closed", age(start, end.0)),
            None => "taken back".to_owned(),
        };
        Some(format!("{} ago, {ended}", age(start, now)))
    }

    fn reset_text(&self, now: Timestamp) -> Option<String> {
        let run = &self.reset.as_ref()?.run;
        let start = run.start_time.as_ref()?.0;
        Some(match &run.completion_time {
            Some(end) => {
                let closed = count(run.closed_sessions, "session", "sessions");
                format!("{} ago, done after {}: {closed} replaced", age(start, now), age(start, end.0))
            }
            None => {
                let remaining = count(run.remaining_sessions, "session remains", "sessions remain");
                format!("running for {}: {remaining}", age(start, now))
            }
        })
    }

    fn advice_text(&self) -> Option<String> {
        let advice = self.recommendation.as_ref()?;
        let what = format!(
            "{:?}, {} to {} sessions",
            advice.pool_strategy, advice.pool_min_size, advice.pool_max_size
        );
        let how = match self.spec.optimization.mode {
            OptimizationMode::Auto => "applied by itself",
            OptimizationMode::Off | OptimizationMode::Recommend => "see `optimize`",
        };
        Some(format!("{what} ({how}): {}", advice.message))
    }

    fn replicas_text(&self, now: Timestamp) -> String {
        if self.replicas.is_empty() {
            return String::new();
        }
        let head = [
            "PROXY", "READY", "STATE", "SESSIONS", "ACTIVE", "WAITING", "CALLS", "MEMORY", "RESTARTS", "AGE",
            "NODE",
        ];
        let rows: Vec<Vec<String>> = self
            .replicas
            .iter()
            .map(|replica| {
                let of = |value: fn(&crds::wire::PoolStats) -> u64| {
                    replica.stats.as_ref().map_or_else(|| "-".to_owned(), |stats| value(stats).to_string())
                };
                let state = replica.stats.as_ref().filter(|_| replica.state == "Running");
                vec![
                    replica.name.clone(),
                    if replica.ready { "yes" } else { "no" }.to_owned(),
                    state.map_or_else(|| replica.state.clone(), |stats| stats.status.clone()),
                    of(|stats| stats.total_sessions),
                    of(|stats| stats.active_sessions),
                    of(|stats| stats.waiting),
                    of(|stats| stats.total_calls),
                    replica.stats.as_ref().map_or_else(|| "-".to_owned(), |stats| memory(stats.memory_bytes)),
                    replica.restarts.to_string(),
                    replica.created.map_or_else(|| "-".to_owned(), |created| age(created, now)),
                    replica.node.clone().unwrap_or_else(|| "-".to_owned()),
                ]
            })
            .collect();
        format!("\n{}", table("", &head, &rows))
    }

    fn conditions_text(&self, now: Timestamp) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        let row = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            let since = age(condition.last_transition_time.0, now);
            let texts = [&condition.type_, &condition.status, &condition.reason, &since, &condition.message];
            texts.map(Clone::clone).to_vec()
        };
        let rows: Vec<Vec<String>> = self.conditions.iter().map(row).collect();
        format!("\n{}", table("", &["CONDITION", "STATUS", "REASON", "FOR", "MESSAGE"], &rows))
    }

    fn events_text(&self, now: Timestamp) -> String {
        if let Some(error) = &self.events_error {
            return format!("\nEvents can't be read: {error}\n");
        }
        if self.events.is_empty() {
            return String::new();
        }
        let rows: Vec<Vec<String>> = self
            .events
            .iter()
            .map(|event| {
                let ago = event.time.map_or_else(|| "-".to_owned(), |time| age(time, now));
                let kind = if event.warning { "Warning" } else { "Normal" };
                vec![ago, kind.to_owned(), event.reason.clone(), event.message.clone()]
            })
            .collect();
        format!("\n{}", table("", &["EVENT", "TYPE", "REASON", "MESSAGE"], &rows))
    }
}
