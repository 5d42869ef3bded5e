//! A server in somebody else's pods, which get the proxy beside it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::address::mcp_path;
use crate::spec::grammar::{PATH, PORT_NAME};

/// A server whose pods carry `mcpgateway.io/inject: <pool>`, as label or annotation: each of them gets a proxy, which takes
/// over the port that Services know by name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamSidecar {
    /// Port that the server listens on. Not 9090, 9091 or 18080, which are the proxy's. Default: 3001. Example: 8082.
    #[serde(default = "server_port")]
    #[schemars(range(min = 1, max = 65_535))]
    #[x_kube(validation = Rule::new("!(self in [9090, 9091, 18080])").message("upstream.sidecar.port must not be 9090, 9091 or 18080: the proxy listens there in the same pod"))]
    pub port: i32,
    /// Name of the port that Services target: the proxy's port gets it, and goes before the server's of the same name. A
    /// Service that targets a number still reaches the server itself. Default: mcp. Example: http.
    #[serde(default = "port_name")]
    #[schemars(length(min = 1, max = 15), regex(pattern = PORT_NAME))]
    #[x_kube(validation = Rule::new("!(self in ['admin', 'peers'])").message("upstream.sidecar.portName must not be admin or peers: the proxy has ports of these names"))]
    pub port_name: String,
    /// Path of the server. Default: /mcp. Example: /v1/mcp.
    #[serde(default = "mcp_path")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = PATH))]
    pub path: String,
}

impl Default for UpstreamSidecar {
    fn default() -> Self {
        Self { port: server_port(), port_name: port_name(), path: mcp_path() }
    }
}

fn server_port() -> i32 {
    3001
}

fn port_name() -> String {
    "mcp".into()
}
