//! Makes the kubelet fetch a changed `ConfigMap` at once: it does so when an annotation of the pod changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::Client;
use serde_json::json;

use crate::{
    memory::Nudge,
    reconcile::{
        annotate::annotate,
        observe::{Fleet, PodReport},
    },
};

/// A pod that has not reported the newest revision after this many seconds is nudged again; each time it waits twice
/// as long.
const AGAIN_SECONDS: i64 = 2;
/// Longest wait between two nudges of a pod, in seconds.
const LONGEST_SECONDS: i64 = 60;

/// A pod to nudge, and what to note of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Name of the pod.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// The nudge.
    pub nudge: Nudge,
}

/// The pods to nudge now. Pods that report `revision`, end or have not started need
/// none: what starts reads the newest configuration.
pub fn due(fleet: &Fleet, revision: &str, before: &BTreeMap<String, Nudge>, now: Timestamp) -> Vec<Due> {
    let stale = |pod: &&PodReport| pod.running && !pod.terminating && pod.revision() != Some(revision);
    let next = |pod: &PodReport| match before.get(&pod.uid).filter(|nudge| nudge.revision == revision) {
        Some(nudge) if now.duration_since(nudge.time).as_secs() < wait(nudge.count) => None,
        Some(nudge) => Some(nudge.count + 1),
        None => Some(1),
    };
    fleet
        .pods
        .iter()
        .filter(stale)
        .filter_map(|pod| {
            let nudge = Nudge { revision: revision.to_owned(), time: now, count: next(pod)? };
            Some(Due { pod: pod.name.clone(), uid: pod.uid.clone(), nudge })
        })
        .collect()
}

fn wait(count: u32) -> i64 {
    (AGAIN_SECONDS << count.saturating_sub(1).min(6)).min(LONGEST_SECONDS)
}

/// Annotates a pod. One that is gone meanwhile needs no nudge.
pub async fn send(client: &Client, namespace: &str, pod: &str, nudge: &Nudge) -> kube::Result<()> {
    let annotations = json!({
        crds::names::CONFIG_REVISION: nudge.revision,
        crds::names::CONFIG_NUDGE: nudge.count.to_string(),
    });
    annotate(client, namespace, pod, annotations).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn fleet(revision: &str) -> Fleet {
        Fleet { pods: vec![PodReport::example("a", Some(revision))] }
    }

    #[test]
    fn a_pod_is_nudged_until_it_reports_the_revision() {
        let mut notes = BTreeMap::new();
        let mut nudged = Vec::new();
        for second in 0..20 {
            for due in due(&fleet("old"), "new", &notes, at(second)) {
                nudged.push(second);
                notes.insert(due.uid, due.nudge);
            }
        }
        assert_eq!(nudged, [0, 2, 6, 14]);
        assert_eq!(due(&fleet("new"), "new", &notes, at(100)), []);
    }

    #[test]
    fn another_revision_is_nudged_at_once() {
        let notes = [("uid-a".to_owned(), Nudge { revision: "new".into(), time: at(10), count: 5 })].into();
        assert_eq!(due(&fleet("old"), "newer", &notes, at(11))[0].nudge.count, 1);
    }

    #[test]
    fn a_pod_that_does_not_run_is_left_alone() {
        let mut fleet = fleet("old");
        fleet.pods[0].running = false;
        assert_eq!(due(&fleet, "new", &BTreeMap::new(), at(0)), []);
        fleet.pods[0].running = true;
        fleet.pods[0].terminating = true;
        assert_eq!(due(&fleet, "new", &BTreeMap::new(), at(0)), []);
    }
}
