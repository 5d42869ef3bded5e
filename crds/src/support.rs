//! What this version accepts in the schema and does not do yet. It is refused, never ignored.

use crate::{
    DesiredState, Isolation, NetworkPolicyMode, OptimizationMode, PoolStrategy, ProtocolVersion,
    SessionPoolSpec, Transport, UpstreamAuthType,
};

/// A field that is refused as it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Its path.
    pub field: &'static str,
    /// What to do about it.
    pub message: &'static str,
}

/// Everything in the specification that this version does not do.
pub fn unsupported(spec: &SessionPoolSpec) -> Vec<Unsupported> {
    let upstream = &spec.upstream;
    let strategies = [PoolStrategy::RoundRobin, PoolStrategy::None];
    let versions = [ProtocolVersion::Auto, ProtocolVersion::V2025_06_18, ProtocolVersion::V2025_11_25];
    let upstream_auth = upstream.auth.as_ref().map_or(UpstreamAuthType::None, |auth| auth.type_);
    let optimization = &spec.optimization;
    let checks = [
        (
            !strategies.contains(&spec.pool_strategy),
            "spec.poolStrategy",
            "this version has the strategies RoundRobin and None",
        ),
        (spec.sticky.is_some(), "spec.sticky", "this version has no sticky strategy: remove the field"),
        (
            spec.pool_max_per_principal.is_some(),
            "spec.poolMaxPerPrincipal",
            "this version has no cap for each principal: remove the field",
        ),
        (
            spec.pinning.is_some(),
            "spec.pinning",
            "this version does not pin: remove the field, or use isolation Session for such a server",
        ),
        (
            spec.desired_state != DesiredState::Active,
            "spec.desiredState",
            "this version does not drain: scale to 0 instead",
        ),
        (
            spec.drain != crate::Drain::default(),
            "spec.drain",
            "this version does not drain: remove the field",
        ),
        (
            spec.reset_token.is_some(),
            "spec.resetToken",
            "this version does not reset: restart the proxies' Deployment instead",
        ),
        (
            optimization.mode != OptimizationMode::Off
                || optimization.min_size.is_some()
                || optimization.max_size.is_some(),
            "spec.optimization",
            "this version gives no advice: remove the field",
        ),
        (
            spec.auth.is_some(),
            "spec.auth",
            "this version does not authenticate clients: remove the field and let only trusted clients reach the Service",
        ),
        (
            spec.tls_secret_name.is_some(),
            "spec.tlsSecretName",
            "this version serves plain HTTP: remove the field and end TLS in front of the Service",
        ),
        (
            spec.replicas > 1 && spec.isolation != Isolation::Shared,
            "spec.replicas",
            "this version runs more than one proxy with isolation Shared only: set replicas to 1",
        ),
        (
            upstream.transport != Transport::StreamableHTTP,
            "spec.upstream.transport",
            "this version speaks StreamableHTTP only",
        ),
        (
            !versions.contains(&upstream.protocol_version),
            "spec.upstream.protocolVersion",
            "this version speaks Auto, 2025-06-18 and 2025-11-25",
        ),
        (
            upstream_auth == UpstreamAuthType::Static,
            "spec.upstream.auth",
            "this version sends no credential of its own: use type None or Passthrough",
        ),
        (
            upstream.tls.is_some(),
            "spec.upstream.tls",
            "this version trusts the well-known authorities only: remove the field",
        ),
        (
            spec.guard.max_unavailable.is_some() || spec.guard.network_policy != NetworkPolicyMode::None,
            "spec.guard",
            "this version makes no PodDisruptionBudget and no NetworkPolicy: remove the field and make them yourself",
        ),
    ];
    let refused = checks.into_iter().filter(|(refused, ..)| *refused);
    refused.map(|(_, field, message)| Unsupported { field, message }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::schema;

    /// Leaves that do what they say.
    const IMPLEMENTED: [&str; 44] = [
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
        "terminationGracePeriodSeconds",
        "proxy.image",
        "proxy.imagePullSecrets",
        "proxy.resources",
        "proxy.logFilter",
        "proxy.podTemplate",
        "service.type",
        "service.port",
        "service.annotations",
        // These are taken with some values only; see REFUSED.
        "poolStrategy",
        "upstream.protocolVersion",
        "replicas",
    ];

    /// Leaves that are refused, each with a value that shows it.
    fn refused() -> Vec<(&'static str, Value)> {
        vec![
            ("poolStrategy", json!({"poolStrategy": "LeastConnections"})),
            ("poolStrategy", json!({"poolStrategy": "Weighted"})),
            ("sticky.source", json!({"poolStrategy": "Sticky", "sticky": {"source": "Principal"}})),
            ("sticky.headerName", json!({"sticky": {"source": "Header", "headerName": "X"}})),
            ("sticky.maxAgeSeconds", json!({"sticky": {"maxAgeSeconds": 5}})),
            ("poolMaxPerPrincipal", json!({"poolMaxPerPrincipal": 1})),
            ("pinning.tools", json!({"pinning": {"tools": ["a"]}})),
            ("pinning.resourceURIPrefixes", json!({"pinning": {"resourceURIPrefixes": ["a:"]}})),
            ("desiredState", json!({"desiredState": "Drained"})),
            ("drain.timeoutSeconds", json!({"drain": {"timeoutSeconds": 1}})),
            ("resetToken", json!({"resetToken": "1"})),
            ("optimization.mode", json!({"optimization": {"mode": "Auto"}})),
            ("optimization.minSize", json!({"optimization": {"minSize": 1}})),
            ("optimization.maxSize", json!({"optimization": {"maxSize": 1}})),
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
            ("replicas", json!({"replicas": 2})),
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
            ("guard.maxUnavailable", json!({"guard": {"maxUnavailable": 1}})),
            ("guard.networkPolicy", json!({"guard": {"networkPolicy": "Managed"}})),
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
                    leaves(
                        &if path.is_empty() { name.clone() } else { format!("{path}.{name}") },
                        schema,
                        out,
                    );
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
        let gone: Vec<_> =
            IMPLEMENTED.iter().filter(|leaf| !all.iter().any(|other| other == *leaf)).collect();
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
    fn an_object_without_them_is_taken() {
        assert_eq!(unsupported(&SessionPoolSpec::default()), []);
    }
}
