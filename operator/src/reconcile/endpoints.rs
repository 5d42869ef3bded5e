//! Addresses behind a Service.

use k8s_openapi::api::{
    core::v1::{Service, ServicePort},
    discovery::v1::EndpointSlice,
};

/// The URLs of every ready address behind a port of a Service, in a stable order.
///
/// A Service of two families is asked for its first one only, or each pod would be counted twice.
pub fn urls(
    service: &Service,
    slices: &[EndpointSlice],
    port: i32,
    path: &str,
) -> Result<Vec<String>, PortNotFound> {
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        return Ok(Vec::new());
    }
    let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let named = ports
        .iter()
        .find(|candidate| candidate.port == port)
        .ok_or_else(|| PortNotFound::among(port, ports))?;
    let family = spec.and_then(|spec| spec.ip_families.as_ref()).and_then(|families| families.first());
    let mut urls: Vec<String> = slices
        .iter()
        .filter(|slice| family.is_none_or(|family| *family == slice.address_type))
        .filter_map(|slice| Some((slice, target(slice, named)?)))
        .flat_map(|(slice, target)| addresses(slice).map(move |address| url(address, target, path)))
        .collect();
    urls.sort();
    urls.dedup();
    Ok(urls)
}

/// The URL of a Service by its name.
pub fn service_url(namespace: &str, name: &str, port: i32, path: &str) -> String {
    url(&format!("{name}.{namespace}.svc.cluster.local"), port, path)
}

/// An HTTP URL; an IPv6 address gets its brackets.
pub fn url(host: &str, port: i32, path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    if host.contains(':') {
        format!("http://[{host}]:{port}{slash}{path}")
    } else {
        format!("http://{host}:{port}{slash}{path}")
    }
}

fn target(slice: &EndpointSlice, port: &ServicePort) -> Option<i32> {
    let name = port.name.as_deref().unwrap_or_default();
    let ports = slice.ports.iter().flatten();
    ports
        .filter(|candidate| candidate.name.as_deref().unwrap_or_default() == name)
        .find_map(|candidate| candidate.port)
}

fn addresses(slice: &EndpointSlice) -> impl Iterator<Item = &str> {
    let ready = slice.endpoints.iter().filter(|endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    ready.filter_map(|endpoint| endpoint.addresses.first().map(String::as_str))
}

/// The Service has no such port.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has no port {port}, only {there}: correct upstream.serviceRef.port")]
pub struct PortNotFound {
    port: i32,
    there: String,
}

impl PortNotFound {
    fn among(port: i32, ports: &[ServicePort]) -> Self {
        let numbers: Vec<String> = ports.iter().map(|port| port.port.to_string()).collect();
        let there = if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") };
        Self { port, there }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service() -> Service {
        serde_json::from_value(json!({"spec": {
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "web", "port": 80, "targetPort": 3001}, {"name": "admin", "port": 81}]
        }}))
        .unwrap()
    }

    fn slice(family: &str, port: i32, endpoints: &Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "addressType": family, "ports": [{"name": "web", "port": port}], "endpoints": endpoints
        }))
        .unwrap()
    }

    #[test]
    fn ready_addresses_of_one_family_in_order() {
        let slices = [
            slice(
                "IPv4",
                3001,
                &json!([
                    {"addresses": ["10.0.0.9"], "conditions": {"ready": true}},
                    {"addresses": ["10.0.0.2"]},
                    {"addresses": ["10.0.0.3"], "conditions": {"ready": false}}
                ]),
            ),
            slice("IPv4", 3001, &json!([{"addresses": ["10.0.0.2"], "conditions": {"ready": true}}])),
            slice("IPv6", 3001, &json!([{"addresses": ["fd00::1"]}])),
        ];
        assert_eq!(
            urls(&service(), &slices, 80, "/mcp").unwrap(),
            ["http://10.0.0.2:3001/mcp", "http://10.0.0.9:3001/mcp"]
        );
    }

    #[test]
    fn a_missing_port_is_named() {
        let error = urls(&service(), &[], 8080, "/mcp").unwrap_err();
        assert_eq!(error.to_string(), "it has no port 8080, only 80, 81: correct upstream.serviceRef.port");
    }

    #[test]
    fn urls_are_well_formed() {
        assert_eq!(url("fd00::1", 80, "mcp"), "http://[fd00::1]:80/mcp");
        assert_eq!(service_url("ns", "srv", 80, "/mcp"), "http://srv.ns.svc.cluster.local:80/mcp");
    }
}
