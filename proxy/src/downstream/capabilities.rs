//! What a client can be asked, and whom its sessions may be shared with because of it.

use std::sync::Arc;

use serde_json::{Map, Value};

/// A client's capabilities, as sessions declare them to the server. JSON with sorted names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// All of them, for a session of the client's own.
    pub own: Arc<str>,
    /// Those that a session may declare that other clients use too; none where it can't be shared.
    pub shared: Option<Arc<str>>,
}

impl Capabilities {
    /// Sorts out a client's capabilities. Roots are one client's, and servers ask for them outside of calls, where nobody
    /// can tell whose are meant: a client that has them shares with nobody. Tasks live in one session: they are not declared
    /// to a shared one.
    pub fn of(json: &str) -> Self {
        let mut all: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
        let own = Value::Object(all.clone()).to_string().into();
        let shared = (!all.contains_key("roots")).then(|| {
            all.remove("tasks");
            Value::Object(all).to_string().into()
        });
        Self { own, shared }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_not_shared_and_tasks_not_declared() {
        let of = |json| {
            let Capabilities { own, shared } = Capabilities::of(json);
            (own.to_string(), shared.map(|shared| shared.to_string()))
        };
        assert_eq!(of("{}"), ("{}".into(), Some("{}".into())));
        assert_eq!(of("nonsense"), ("{}".into(), Some("{}".into())));
        let asks = r#"{"elicitation":{},"sampling":{}}"#;
        assert_eq!(of(r#"{"sampling":{}, "elicitation":{}}"#), (asks.into(), Some(asks.into())));
        let tasks = r#"{"sampling":{},"tasks":{"list":{}}}"#;
        assert_eq!(of(tasks), (tasks.into(), Some(r#"{"sampling":{}}"#.into())));
        let roots = r#"{"roots":{"listChanged":true}}"#;
        assert_eq!(of(roots), (roots.into(), None));
    }
}
