//! What was written last, so that what is as it should be is not written again.

use std::collections::BTreeMap;

use kube::{Resource, ResourceExt};
use serde::Serialize;

use crate::fingerprint::fingerprint;

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

    /// Whether applying `planned` can change nothing: the same was applied before, and `stored` is the fingerprint of what
    /// came out of it.
    pub fn holds<K: Resource<DynamicType = ()> + Serialize>(&self, planned: &K, stored: u64) -> bool {
        let mark = Mark { planned: fingerprint(planned), stored };
        self.marks.get(&name(planned)) == Some(&mark)
    }

    /// Notes that applying `planned` gave `stored`.
    pub fn note<K: Resource<DynamicType = ()> + Serialize>(&mut self, planned: &K, stored: &K) {
        self.marks.insert(name(planned), Mark { planned: fingerprint(planned), stored: fingerprint(stored) });
    }
}

fn name<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{}/{}", K::kind(&()), object.name_any())
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
        let holds = |written: &Written, planned: &Deployment, stored: &Deployment| {
            written.holds(planned, fingerprint(stored))
        };
        assert!(!holds(&written, &planned, &stored));
        written.note(&planned, &stored);
        assert!(holds(&written, &planned, &deployment(1, "11", 1)));
        assert!(!holds(&written, &planned, &deployment(2, "12", 1)), "somebody scaled it");
        assert!(!holds(&written, &deployment(2, "", 0), &stored), "the plan has changed");
    }
}
