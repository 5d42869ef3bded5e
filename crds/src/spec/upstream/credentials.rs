//! Credentials and trust towards the server.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, SecretKeySelector};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::grammar::OBJECT_NAME;

/// How the pool proves itself to the server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("(self.type == 'Static') == has(self.bearerTokenSecretRef)").message("upstream.auth.bearerTokenSecretRef is set exactly when upstream.auth.type is Static"))]
#[serde(rename_all = "camelCase")]
pub struct UpstreamAuth {
    /// None sends no credential, Static the pool's own, Passthrough the client's. Default: None. Example: Static.
    #[serde(rename = "type", default)]
    pub type_: UpstreamAuthType,
    /// The bearer token of type Static. Default: none. Example: {name: github-token, key: token}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret_ref: Option<SecretKeySelector>,
}

/// See [`UpstreamAuth::type_`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum UpstreamAuthType {
    /// No credential.
    #[default]
    None,
    /// The pool's own.
    Static,
    /// The client's `Authorization` header. Its sessions serve that client's principal only.
    Passthrough,
}

/// TLS to the server.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTls {
    /// Certificates of the authorities that are trusted, in PEM. Default: the well-known ones. Example: {name: corp-ca, key: ca.crt}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<ConfigMapKeySelector>,
    /// Secret of type kubernetes.io/tls that the pool shows to the server. Default: none. Example: github-client-tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub client_secret_name: Option<String>,
}
