//! How clients are authenticated.

use k8s_openapi::api::core::v1::SecretKeySelector;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::grammar::HTTPS_URL_RULE;

/// Exactly one method.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("has(self.tokenSecretRef) != has(self.jwt)").message("auth needs exactly one of tokenSecretRef and jwt"))]
#[serde(rename_all = "camelCase")]
pub struct ClientAuth {
    /// A bearer token that every client sends. Default: none. Example: {name: clients, key: token}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeySelector>,
    /// Bearer tokens of an issuer; the principal is their subject. Default: none. Example: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
}

/// Which JSON Web Tokens are taken.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Jwt {
    /// The `iss` that a token must have. Example: <https://login.example.com>.
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: String,
    /// Of which a token's `aud` must hold one. Example: [sessionpool].
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub audiences: Vec<String>,
    /// Where the issuer's keys are. Example: <https://login.example.com/keys>.
    #[serde(rename = "jwksURL")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(HTTPS_URL_RULE).message("auth.jwt.jwksURL must be an https URL, such as https://login.example.com/keys"))]
    pub jwks_url: String,
}
