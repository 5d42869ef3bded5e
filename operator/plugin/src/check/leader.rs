//! Which of several operators acts, and whether one does.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease};
use kube::{Api, ResourceExt};

use super::{
    Finding,
    operator::{container, place, values},
};
use crate::{
    connect::Cluster,
    failure::{Asked, is_forbidden, words},
};

/// A leader renews its lease every 2 s; one that did not for so long is looked at twice.
const STALE: SignedDuration = SignedDuration::from_secs(8);
/// Time between the two looks.
const SECOND_LOOK: Duration = Duration::from_secs(4);

/// Looks at an operator's lease, if it needs one.
pub(super) async fn look(cluster: &Cluster, deployment: &Deployment) -> Option<Finding> {
    const ABOUT: &str = "leader";
    let container = container(deployment)?;
    let (name, namespace) = (deployment.name_any(), deployment.namespace().unwrap_or_default());
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(lease) = values(container, "--lease-name", "LEASE_NAME").pop() else {
        return (replicas > 1).then(|| {
            let text = format!("{} has {replicas} replicas and no lease: all of them act", place(deployment));
            Finding::error(
                ABOUT,
                text,
                format!(
                    "kubectl -n {namespace} scale deployment/{name} --replicas=1, or give it --lease-name"
                ),
            )
        });
    };
    if deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default() == 0 {
        return None;
    }
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), &namespace);
    let read = async || api.get_opt(&lease).await;
    let first = match read().await {
        Ok(found) => found,
        Err(error) => {
            let asked =
                Asked { verb: "get", resource: "leases.coordination.k8s.io", namespace: Some(&namespace) };
            let why = if is_forbidden(&error) { asked.missing() } else { words(&error) };
            return Some(Finding::note(ABOUT, format!("it can't be told who leads: {why}")));
        }
    };
    let remedy = format!(
        "kubectl -n {namespace} logs deployment/{name}; its Role must allow get, create and update of leases"
    );
    let Some(first) = first else {
        return Some(Finding::error(
            ABOUT,
            format!("the lease {namespace}/{lease} is not there: nobody acts"),
            remedy,
        ));
    };
    let before = holder(&first);
    if renewed(&first).is_some_and(|time| Timestamp::now().duration_since(time).abs() < STALE)
        && !before.is_empty()
    {
        return Some(Finding::ok(ABOUT, format!("{before} acts")));
    }
    // By this machine's clock it is old. Whether it changes tells without a clock.
    tokio::time::sleep(SECOND_LOOK).await;
    let second = read().await.ok().flatten();
    let alive = second
        .as_ref()
        .is_some_and(|second| renewed(second) != renewed(&first) && !holder(second).is_empty());
    Some(match second {
        Some(second) if alive => Finding::ok(ABOUT, format!("{} acts", holder(&second))),
        _ => {
            let whose = if before.is_empty() {
                "nobody holds".to_owned()
            } else {
                format!("{before} does not renew")
            };
            Finding::error(ABOUT, format!("{whose} the lease {namespace}/{lease}: nobody acts"), remedy)
        }
    })
}

fn holder(lease: &Lease) -> String {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default()
}

fn renewed(lease: &Lease) -> Option<Timestamp> {
    lease.spec.as_ref()?.renew_time.as_ref().map(|time| time.0)
}
