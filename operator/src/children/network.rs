//! Who may connect to the proxies.

use std::collections::BTreeMap;

use crds::{NetworkPolicyMode, names};
use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use crate::reconcile::resolve::ResolvedPool;

/// Label that Kubernetes puts on each namespace: its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policy of a pool that asks for one. Clients come from anywhere; statistics are for the operator, for the proxies
/// among themselves, and for namespaces that carry [`names::SCRAPE_LABEL`]. What proxies connect to is left open: nobody
/// here knows where the MCP server's name leads.
pub fn policy(pool: &ResolvedPool) -> Option<NetworkPolicy> {
    if pool.guard.network_policy != NetworkPolicyMode::Managed {
        return None;
    }
    let owner = &pool.owner;
    let own = selector(names::selector_labels(&owner.name));
    let own = NetworkPolicyPeer { pod_selector: Some(own), ..NetworkPolicyPeer::default() };
    let scraping = namespaces(names::SCRAPE_LABEL, "true");
    let operator = pool.operator_namespace.as_deref().map(|name| namespaces(NAMESPACE_NAME, name));
    let peers = vec![own.clone()];
    let admin = [Some(own), Some(scraping), operator].into_iter().flatten().collect();
    let named = |name: &str| IntOrString::String(name.to_owned());
    // Two containers of a pod of somebody else's making may have ports of one name.
    let clients = match pool.sidecar {
        Some(_) => IntOrString::Int(names::INJECTED_PORT.into()),
        None => named(names::MCP_PORT_NAME),
    };
    let port = |port: IntOrString| {
        Some(vec![NetworkPolicyPort { port: Some(port), protocol: Some("TCP".to_owned()), end_port: None }])
    };
    Some(NetworkPolicy {
        metadata: owner.child(names::network_policy(&owner.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(names::selector_labels(&owner.name))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule { from: None, ports: port(clients) },
                NetworkPolicyIngressRule { from: Some(admin), ports: port(named(names::ADMIN_PORT_NAME)) },
                NetworkPolicyIngressRule { from: Some(peers), ports: port(named(names::PEER_PORT_NAME)) },
            ]),
            egress: None,
        }),
    })
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

fn namespaces(label: &str, value: &str) -> NetworkPolicyPeer {
    let labels = BTreeMap::from([(label.to_owned(), value.to_owned())]);
    NetworkPolicyPeer { namespace_selector: Some(selector(labels)), ..NetworkPolicyPeer::default() }
}
