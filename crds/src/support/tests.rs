use serde_json::{Value, json};

use super::*;
use crate::schema;

/// Leaves that do what they say.
const IMPLEMENTED: [&str; 61] = [
    "guard.maxUnavailable",
    "guard.networkPolicy",
    "poolEnabled",
    "poolMinSize",
    "poolMaxSize",
    "poolTimeout",
    "poolRecycleSeconds",
    "poolPrePing",
    "isolation",
    "poolSessionConcurrency",
    "poolIdleSeconds",
    "poolMaxRequests",
    "poolPrePingDelaySeconds",
    "poolKeepaliveSeconds",
    "poolMaxWaiters",
    "maxDirectSessions",
    "clientSessionIdleSeconds",
    "disconnectGraceSeconds",
    "identityHeaders",
    "forwardHeaders",
    "upstream.url",
    "upstream.endpoints.url",
    "upstream.endpoints.weight",
    "upstream.headers",
    "upstream.serviceRef.name",
    "upstream.serviceRef.port",
    "upstream.serviceRef.path",
    "upstream.template.image",
    "upstream.template.command",
    "upstream.template.args",
    "upstream.template.env",
    "upstream.template.port",
    "upstream.template.path",
    "upstream.template.resources",
    "upstream.sidecar.port",
    "upstream.sidecar.portName",
    "upstream.sidecar.path",
    "terminationGracePeriodSeconds",
    "proxy.image",
    "proxy.imagePullSecrets",
    "proxy.resources",
    "proxy.logFilter",
    "proxy.podTemplate",
    "service.type",
    "service.port",
    "service.annotations",
    "poolStrategy",
    "sticky.source",
    "sticky.headerName",
    "sticky.maxAgeSeconds",
    "poolMaxPerPrincipal",
    "pinning.tools",
    "pinning.resourceURIPrefixes",
    "desiredState",
    "drain.timeoutSeconds",
    "resetToken",
    "replicas",
    "optimization.mode",
    "optimization.minSize",
    "optimization.maxSize",
    // This is taken with some values only; see REFUSED.
    "upstream.protocolVersion",
];

/// Leaves that are refused, each with a value that shows it.
fn refused() -> Vec<(&'static str, Value)> {
    vec![
        ("auth.tokenSecretRef", json!({"auth": {"tokenSecretRef": {"name": "a", "key": "b"}}})),
        (
            "auth.jwt.issuer",
            json!({"auth": {"jwt": {"issuer": "a", "audiences": ["b"], "jwksURL": "https://c"}}}),
        ),
        (
            "auth.jwt.audiences",
            json!({"auth": {"jwt": {"issuer": "a", "audiences": ["b"], "jwksURL": "https://c"}}}),
        ),
        (
            "auth.jwt.jwksURL",
            json!({"auth": {"jwt": {"issuer": "a", "audiences": ["b"], "jwksURL": "https://c"}}}),
        ),
        ("tlsSecretName", json!({"tlsSecretName": "a"})),
        ("upstream.transport", json!({"upstream": {"transport": "SSE"}})),
        ("upstream.protocolVersion", json!({"upstream": {"protocolVersion": "2024-11-05"}})),
        ("upstream.auth.type", json!({"upstream": {"auth": {"type": "Static"}}})),
        (
            "upstream.auth.bearerTokenSecretRef",
            json!({"upstream": {"auth": {"type": "Static", "bearerTokenSecretRef": {"name": "a", "key": "b"}}}}),
        ),
        (
            "upstream.tls.caConfigMapRef",
            json!({"upstream": {"tls": {"caConfigMapRef": {"name": "a", "key": "b"}}}}),
        ),
        ("upstream.tls.clientSecretName", json!({"upstream": {"tls": {"clientSecretName": "a"}}})),
    ]
}

/// Objects of Kubernetes' own are one leaf each.
const WHOLE: [&str; 7] = [
    "resources",
    "env",
    "imagePullSecrets",
    "tokenSecretRef",
    "bearerTokenSecretRef",
    "caConfigMapRef",
    "podTemplate",
];

fn leaves(path: &str, schema: &Value, out: &mut Vec<String>) {
    let name = path.rsplit('.').next().unwrap_or_default();
    let schema = if schema["type"] == "array" && schema["items"]["properties"].is_object() {
        &schema["items"]
    } else {
        schema
    };
    match schema["properties"].as_object() {
        Some(properties) if !WHOLE.contains(&name) => {
            for (name, schema) in properties {
                leaves(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, schema, out);
            }
        }
        _ => out.push(path.to_owned()),
    }
}

#[test]
fn every_leaf_is_implemented_or_refused() {
    let crd = schema::json().unwrap();
    let mut all = Vec::new();
    leaves("", &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], &mut all);
    let refused = refused();
    let known = |leaf: &str| IMPLEMENTED.contains(&leaf) || refused.iter().any(|(path, _)| *path == leaf);
    let unknown: Vec<_> = all.iter().filter(|leaf| !known(leaf)).collect();
    assert!(unknown.is_empty(), "neither implemented nor refused: {unknown:?}");
    let gone: Vec<_> = IMPLEMENTED.iter().filter(|leaf| !all.iter().any(|other| other == *leaf)).collect();
    assert!(gone.is_empty(), "not in the schema: {gone:?}");
}

#[test]
fn refused_leaves_are_refused_by_name() {
    for (path, mut spec) in refused() {
        if spec.get("upstream").is_none() {
            spec["upstream"] = json!({});
        }
        let spec: SessionPoolSpec = serde_json::from_value(spec).unwrap();
        let fields: Vec<_> = unsupported(&spec).into_iter().map(|refusal| refusal.field).collect();
        let named = fields.iter().any(|field| format!("spec.{path}").starts_with(field));
        assert!(named, "{path} is not refused: {fields:?}");
    }
}

#[test]
fn a_pool_for_sidecars_says_nothing_of_pods() {
    let taken =
        json!({"upstream": {"sidecar": {}}, "proxy": {"image": "a"}, "guard": {"networkPolicy": "Managed"}});
    assert_eq!(unsupported(&serde_json::from_value(taken).unwrap()), []);
    for (field, value) in [
        ("spec.proxy", json!({"proxy": {"podTemplate": {}}})),
        ("spec.proxy", json!({"proxy": {"imagePullSecrets": [{"name": "a"}]}})),
        ("spec.replicas", json!({"replicas": 2})),
        ("spec.terminationGracePeriodSeconds", json!({"terminationGracePeriodSeconds": 60})),
        ("spec.service", json!({"service": {"port": 80}})),
        ("spec.guard.maxUnavailable", json!({"guard": {"maxUnavailable": 1}})),
    ] {
        for (upstream, refused) in [(json!({"url": "http://a/mcp"}), false), (json!({"sidecar": {}}), true)] {
            let mut spec = value.clone();
            spec["upstream"] = upstream;
            let found = unsupported(&serde_json::from_value(spec).unwrap());
            assert_eq!(found.iter().any(|one| one.field == field), refused, "{field}: {found:?}");
        }
    }
}

#[test]
fn an_object_without_them_is_taken() {
    assert_eq!(unsupported(&SessionPoolSpec::default()), []);
}
