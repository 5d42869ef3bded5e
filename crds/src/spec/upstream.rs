//! The MCP server behind a pool.

mod address;
mod credentials;
mod protocol;
mod sidecar;
mod template;

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    address::{Endpoint, ServiceRef},
    credentials::{UpstreamAuth, UpstreamAuthType, UpstreamTls},
    protocol::{ProtocolVersion, Transport},
    sidecar::UpstreamSidecar,
    template::UpstreamTemplate,
};
use super::grammar::URL_RULE;

/// The MCP server: exactly one of url, endpoints, serviceRef, template and sidecar.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.url), has(self.endpoints), has(self.serviceRef), has(self.template), has(self.sidecar)].filter(x, x).size() == 1").message("upstream needs exactly one of url, endpoints, serviceRef, template and sidecar"))]
#[x_kube(validation = Rule::new("self.transport != 'Stdio' || has(self.template)").message("upstream.transport Stdio needs upstream.template: the proxy starts the server's process in its pod").field_path(".transport"))]
#[x_kube(validation = Rule::new("!has(self.headers) || !has(self.auth) || self.auth.type == 'None' || self.headers.all(h, h.lowerAscii() != 'authorization')").message("upstream.headers must not set Authorization when upstream.auth.type is Static or Passthrough: remove one of the two").field_path(".headers"))]
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
    #[x_kube(validation = Rule::new(URL_RULE).message("upstream.url must be an absolute http or https URL without user and password, such as http://mcp.example.com/mcp"))]
    pub url: Option<String>,

    /// Several addresses of one server. Default: none. Example: [{url: "http://10.0.0.1/mcp", weight: 2}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["url"])
    )]
    #[x_kube(validation = Rule::new("self.exists(e, e.weight > 0)").message("upstream.endpoints needs one with a weight above 0"))]
    pub endpoints: Vec<Endpoint>,

    /// A Service of the pool's namespace. Sessions are opened to its ready pods. Default: none. Example: {name: github, port: 8082}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceRef>,

    /// A server that the operator runs in the proxies' pods. Default: none. Example: {image: "example/server:1", port: 3001}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<UpstreamTemplate>,

    /// A server in pods of somebody else's making, each of which gets a proxy. Default: none. Example: {port: 3001}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<UpstreamSidecar>,

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
