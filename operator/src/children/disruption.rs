//! How many proxies an eviction may take away at once.

use crds::names;
use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use crate::reconcile::resolve::ResolvedPool;

/// The budget of a pool that says one, or that has proxies to take turns.
pub fn budget(pool: &ResolvedPool) -> Option<PodDisruptionBudget> {
    let asked = pool.guard.max_unavailable.clone();
    let most = asked.or_else(|| (pool.fleet.replicas > 1).then_some(IntOrString::Int(1)))?;
    let owner = &pool.owner;
    Some(PodDisruptionBudget {
        metadata: owner.child(names::disruption_budget(&owner.name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(most),
            selector: Some(LabelSelector {
                match_labels: Some(names::selector_labels(&owner.name)),
                match_expressions: None,
            }),
            // A proxy that is not ready serves nobody: it must not keep its node from being emptied.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
