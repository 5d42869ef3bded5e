//! Has the idlest proxies go first when there are to be fewer: the ReplicaSet deletes pods in the order of their
//! deletion costs. They are written once, before the Deployment is told, so that a pool at rest writes nothing.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost>.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::{
    children::Owner,
    reconcile::{
        Context,
        annotate::annotate,
        observe::{Fleet, PodReport, observe},
    },
};

/// What the ReplicaSet controller reads.
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Whether the Deployment would lose pods.
pub fn shrinks(stored: &Deployment, wanted: &Deployment) -> bool {
    let replicas = |deployment: &Deployment| deployment.spec.as_ref().and_then(|spec| spec.replicas);
    replicas(wanted) < replicas(stored)
}

/// Writes what each pod's end would cost. Scaling does not depend on it: a pod that can't be told is only logged.
pub async fn mark(context: &Context, owner: &Owner) {
    let fleet = observe(&context.watched.pods, &context.stats, owner, false).await;
    for (pod, cost) in costs(&fleet) {
        let cost = json!({COST: cost.to_string()});
        if let Err(error) = annotate(&context.client, &owner.namespace, pod, cost).await {
            tracing::warn!(%pod, %error, "a pod's deletion cost could not be written");
        }
    }
}

/// The sessions that would move or end with each pod: those of clients and those with the server. A proxy that says
/// nothing has none.
fn costs(fleet: &Fleet) -> Vec<(&str, i32)> {
    let cost = |pod: &PodReport| {
        let sessions = pod.answered().map_or(0, |stats| stats.client_sessions + stats.total_sessions);
        i32::try_from(sessions).unwrap_or(i32::MAX)
    };
    fleet.alive().map(|pod| (pod.name.as_str(), cost(pod))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_cost_is_its_sessions() {
        let mut pods = ["busy", "silent", "leaving"].map(|name| PodReport::example(name, None));
        let Some(Ok(stats)) = &mut pods[0].stats else { panic!("no statistics") };
        (stats.client_sessions, stats.total_sessions) = (5, 2);
        pods[1].stats = Some(Err("did not answer".to_owned()));
        pods[2].terminating = true;
        assert_eq!(costs(&Fleet { pods: pods.to_vec() }), [("busy", 7), ("silent", 0)]);
    }

    #[test]
    fn fewer_replicas_are_noticed() {
        let of = |replicas: Option<i32>| -> Deployment {
            serde_json::from_value(json!({"spec": {"replicas": replicas, "selector": {}, "template": {}}}))
                .unwrap()
        };
        assert!(shrinks(&of(Some(3)), &of(Some(1))));
        assert!(!shrinks(&of(Some(1)), &of(Some(3))) && !shrinks(&of(Some(2)), &of(Some(2))));
    }
}
