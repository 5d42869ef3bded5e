//! The Services: one for clients, a headless one for peers, Prometheus and the operator.

use crds::{ServiceType, names};
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::{children::Owner, reconcile::resolve::ResolvedPool};

/// What clients connect to. It shows the MCP port and nothing else.
pub fn clients(pool: &ResolvedPool) -> Service {
    let owner = &pool.owner;
    let mut metadata = owner.child(names::service(&owner.name));
    if !pool.service.annotations.is_empty() {
        metadata.annotations = Some(pool.service.annotations.clone());
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_name(pool.service.type_).to_owned()),
            selector: Some(names::selector_labels(&owner.name)),
            ports: Some(vec![port(names::MCP_PORT_NAME, pool.service.port)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// What finds each proxy by its address, also one that is not ready.
pub fn peers(owner: &Owner) -> Service {
    let mut metadata = owner.child(names::peers_service(&owner.name));
    metadata.labels.get_or_insert_default().insert(names::SCRAPE_LABEL.to_owned(), "true".to_owned());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(names::selector_labels(&owner.name)),
            ports: Some(vec![
                port(names::ADMIN_PORT_NAME, i32::from(names::ADMIN_PORT)),
                port(names::PEER_PORT_NAME, i32::from(names::PEER_PORT)),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

const fn type_name(kind: ServiceType) -> &'static str {
    match kind {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
