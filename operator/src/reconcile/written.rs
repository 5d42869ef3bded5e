//! What was written last, so that what is as it should be is not written again.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;

/// What the API server adds to an object, or others may change in it, without touching what was applied.
const NOT_OURS: [&str; 3] = ["resourceVersion", "managedFields", "generation"];

/// The children of one pool as they were applied. It is lost with the operator, which then applies each once more.
#[derive(Debug, Clone, Default)]
pub struct Written {
    marks: BTreeMap<String, Mark>,
    key: bool,
}

/// A child as it was planned and as it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    planned: u64,
    stored: u64,
}

impl Written {
    /// Whether the session key's Secret is known to be there. The operator can't read it.
    pub fn has_key(&self) -> bool {
        self.key
    }

    /// Notes that the Secret is there.
    pub fn note_key(&mut self) {
        self.key = true;
    }

    /// A pod does not start yet, which may be for want of its Secret.
    pub fn doubt_key(&mut self) {
        self.key = false;
    }

    /// Whether applying `planned` can change nothing: the same was applied before, and `stored` came out of it.
    pub fn holds<K: Resource<DynamicType = ()> + Serialize>(&self, planned: &K, stored: &K) -> bool {
        let mark = Mark { planned: hash(planned), stored: hash(stored) };
        self.marks.get(&name(planned)) == Some(&mark)
    }

    /// Notes that applying `planned` gave `stored`.
    pub fn note<K: Resource<DynamicType = ()> + Serialize>(&mut self, planned: &K, stored: &K) {
        self.marks.insert(name(planned), Mark { planned: hash(planned), stored: hash(stored) });
    }
}

fn name<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{}/{}", K::kind(&()), object.name_any())
}

fn hash<K: Serialize>(object: &K) -> u64 {
    let mut hasher = DefaultHasher::new();
    // An object that can't be written down is never found again, and so is applied each time.
    let mut value = serde_json::to_value(object).unwrap_or(Value::Null);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !NOT_OURS.contains(&name.as_str()));
    }
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    use super::*;

    fn deployment(replicas: i32, version: &str, ready: i32) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "resourceVersion": version, "generation": replicas},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
            "status": {"readyReplicas": ready}
        }))
        .unwrap()
    }

    #[test]
    fn a_change_on_either_side_is_seen_and_a_status_is_not() {
        let mut written = Written::default();
        let (planned, stored) = (deployment(1, "", 0), deployment(1, "10", 0));
        assert!(!written.holds(&planned, &stored));
        written.note(&planned, &stored);
        assert!(written.holds(&planned, &deployment(1, "11", 1)));
        assert!(!written.holds(&planned, &deployment(2, "12", 1)), "somebody scaled it");
        assert!(!written.holds(&deployment(2, "", 0), &stored), "the plan has changed");
    }
}
