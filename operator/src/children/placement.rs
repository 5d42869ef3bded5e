//! Where the scheduler is asked to put the proxies of a pool: away from each other, if it can.

use crds::names;
use k8s_openapi::{
    api::core::v1::{
        Affinity, PodAffinityTerm, PodAntiAffinity, TopologySpreadConstraint, WeightedPodAffinityTerm,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

/// Proxies of another version of the pod template don't count, so that a rollout ends spread, too.
const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Spreads the proxies of a pool evenly over the nodes.
///
/// A second constraint by zone would make the scheduler ignore both on nodes without that label, which clusters outside of
/// clouds lack: zones are preferred by [`apart_by_zone`].
pub fn over_nodes(pool: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(proxies_of(pool)),
        match_label_keys: Some(vec![POD_TEMPLATE_HASH.to_owned()]),
        ..TopologySpreadConstraint::default()
    }
}

/// Prefers zones that have no proxy of the pool.
pub fn apart_by_zone(pool: &str) -> Affinity {
    let term = PodAffinityTerm {
        topology_key: "topology.kubernetes.io/zone".to_owned(),
        label_selector: Some(proxies_of(pool)),
        match_label_keys: Some(vec![POD_TEMPLATE_HASH.to_owned()]),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: term,
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn proxies_of(pool: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(names::selector_labels(pool)), match_expressions: None }
}
