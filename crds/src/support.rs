//! What this version accepts in the schema and does not do yet. It is refused, never ignored.

#[cfg(test)]
mod tests;

use crate::{Isolation, ProtocolVersion, ServiceSpec, SessionPoolSpec, Transport, UpstreamAuthType};

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
    let versions = [ProtocolVersion::Auto, ProtocolVersion::V2025_06_18, ProtocolVersion::V2025_11_25];
    let upstream_auth = upstream.auth.as_ref().map_or(UpstreamAuthType::None, |auth| auth.type_);
    let checks = [
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
            spec.pool_max_per_principal.is_some() && spec.isolation == Isolation::Shared,
            "spec.poolMaxPerPrincipal",
            "with isolation Shared no session belongs to a principal: remove the field, or use isolation Principal or Session",
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
    ];
    let refused = checks.into_iter().chain(of_sidecars(spec)).filter(|(refused, ..)| *refused);
    refused.map(|(_, field, message)| Unsupported { field, message }).collect()
}

/// What is not the pool's affair where its proxies run in pods of somebody else's making.
fn of_sidecars(spec: &SessionPoolSpec) -> [(bool, &'static str, &'static str); 5] {
    let (is, usual) = (spec.upstream.sidecar.is_some(), SessionPoolSpec::default());
    [
        (
            is && (spec.proxy.pod_template.is_some() || !spec.proxy.image_pull_secrets.is_empty()),
            "spec.proxy",
            "with upstream.sidecar the pods are yours: set imagePullSecrets and all else in their own template",
        ),
        (
            is && spec.replicas != usual.replicas,
            "spec.replicas",
            "with upstream.sidecar the pods are yours: remove the field and scale their own Deployment",
        ),
        (
            is && spec.termination_grace_period_seconds != usual.termination_grace_period_seconds,
            "spec.terminationGracePeriodSeconds",
            "with upstream.sidecar the pods are yours: remove the field and set it in their own template",
        ),
        (
            is && spec.service != ServiceSpec::default(),
            "spec.service",
            "with upstream.sidecar clients use the server's own Service: remove the field",
        ),
        (
            is && spec.guard.max_unavailable.is_some(),
            "spec.guard.maxUnavailable",
            "with upstream.sidecar the pods are yours: remove the field and make a PodDisruptionBudget of your own",
        ),
    ]
}
