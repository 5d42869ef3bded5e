//! The MCP server behind a pool.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, EnvVar, ResourceRequirements, SecretKeySelector};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The MCP server: exactly one of url, endpoints, serviceRef and template.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.url), has(self.endpoints), has(self.serviceRef), has(self.template)].filter(x, x).size() == 1").message("upstream needs exactly one of url, endpoints, serviceRef and template"))]
#[x_kube(validation = Rule::new("self.transport != 'Stdio' || has(self.template)").message("upstream.transport Stdio needs upstream.template: the proxy starts the server's process in its pod").field_path(".transport"))]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// How the server is spoken to. Default: StreamableHTTP. Example: Stdio.
    #[serde(default)]
    pub transport: Transport,

    /// The protocol version that sessions are opened with. Auto takes the client's. Default: Auto. Example: "2025-06-18".
    #[serde(default)]
    pub protocol_version: ProtocolVersion,

    /// Address of a server. Default: none. Example: <https://mcp.example.com/mcp>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''").message("upstream.url must be an absolute http or https URL, such as http://mcp.example.com/mcp"))]
    pub url: Option<String>,

    /// Several addresses of one server. Default: none. Example: [{url: "http://10.0.0.1/mcp", weight: 2}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000))]
    #[x_kube(validation = Rule::new("self.exists(e, e.weight > 0)").message("upstream.endpoints needs one with a weight above 0"))]
    pub endpoints: Vec<Endpoint>,

    /// A Service of the pool's namespace. Sessions are opened to its ready pods. Default: none. Example: {name: github, port: 8082}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceRef>,

    /// A server that the operator runs in the proxies' pods. Default: none. Example: {image: "example/server:1", port: 3001}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<UpstreamTemplate>,

    /// How the pool proves itself to the server. Default: not at all. Example: {type: Passthrough}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<UpstreamAuth>,

    /// TLS to the server beyond the well-known authorities. Default: none. Example: {caConfigMapRef: {name: ca, key: ca.crt}}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,

    /// Headers that are sent with every request. Not for secrets: they stand in a ConfigMap.
    /// Default: none. Example: {X-Client: sessionpool}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "headers")]
    #[x_kube(validation = Rule::new("self.all(h, h.matches('^[A-Za-z0-9!#$%&\\'*+.^_`|~-]+$') && h.size() <= 128)").message("upstream.headers: a name may hold letters, digits and !#$%&'*+.^_`|~- only, at most 128 characters"))]
    #[x_kube(validation = Rule::new("self.all(h, !(h.lowerAscii() in ['accept', 'connection', 'content-length', 'content-type', 'host', 'mcp-protocol-version', 'mcp-session-id', 'transfer-encoding']))").message("upstream.headers must not set a header of the transport, such as Host, Content-Type or Mcp-Session-Id"))]
    #[x_kube(validation = Rule::new("self.all(h, self[h].matches('^[ -~]*$'))").message("upstream.headers: a value may hold printable ASCII characters only"))]
    pub headers: BTreeMap<String, String>,
}

fn headers(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string", "maxLength": 2048 }
    })
}

/// How a server is spoken to.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Transport {
    /// Streamable HTTP, since 2025-03-26.
    #[default]
    StreamableHTTP,
    /// HTTP with server-sent events, of 2024-11-05.
    SSE,
    /// Standard input and output of a process.
    Stdio,
}

/// The protocol version that sessions are opened with.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ProtocolVersion {
    /// The client's.
    #[default]
    Auto,
    /// 2024-11-05
    #[serde(rename = "2024-11-05")]
    V2024_11_05,
    /// 2025-03-26
    #[serde(rename = "2025-03-26")]
    V2025_03_26,
    /// 2025-06-18
    #[serde(rename = "2025-06-18")]
    V2025_06_18,
    /// 2025-11-25
    #[serde(rename = "2025-11-25")]
    V2025_11_25,
    /// 2026-07-28, without sessions
    #[serde(rename = "2026-07-28")]
    V2026_07_28,
}

impl ProtocolVersion {
    /// The spelling in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }
}

/// One of several addresses of a server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The address. Example: <http://10.0.0.1:3001/mcp>.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''").message("upstream.endpoints: url must be an absolute http or https URL, such as http://mcp.example.com/mcp"))]
    pub url: String,
    /// Its share of the sessions; 0 takes none. Default: 1. Example: 3.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { url: String::new(), weight: one() }
    }
}

fn one() -> i32 {
    1
}

/// A Service in the pool's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// Name of the Service. Example: github-mcp.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Port of the Service. Example: 8082.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Path of the server. Default: /mcp. Example: /v1/mcp.
    #[serde(default = "mcp_path")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[!-~]*$"))]
    pub path: String,
}

fn mcp_path() -> String {
    "/mcp".into()
}

/// A server that the operator runs in the proxies' pods, as a native sidecar: up before the proxy, down after it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTemplate {
    /// Image of the server. Example: ghcr.io/github/github-mcp-server:v1.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Replaces the image's entrypoint. Default: the image's. Example: [node, server.js].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Arguments. Default: the image's. Example: [http, --port, "8082"].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 4096)))]
    pub args: Vec<String>,
    /// Environment. Default: none. Example: [{name: LOG, value: debug}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub env: Vec<EnvVar>,
    /// Port that the server listens on. Not 8080 or 9090, which are the proxy's. Default: 3001. Example: 8082.
    #[serde(default = "server_port")]
    #[schemars(range(min = 1, max = 65_535))]
    #[x_kube(validation = Rule::new("!(self in [8080, 9090])").message("upstream.template.port must not be 8080 or 9090: the proxy listens there in the same pod"))]
    pub port: i32,
    /// Path of the server. Default: /mcp. Example: /v1/mcp.
    #[serde(default = "mcp_path")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[!-~]*$"))]
    pub path: String,
    /// Requests and limits of the server's container. Default: none. Example: {limits: {memory: 256Mi}}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

impl Default for UpstreamTemplate {
    fn default() -> Self {
        Self {
            image: String::new(),
            command: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            port: server_port(),
            path: mcp_path(),
            resources: None,
        }
    }
}

fn server_port() -> i32 {
    3001
}

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
    #[schemars(length(min = 1, max = 253))]
    pub client_secret_name: Option<String>,
}
