//! A server that runs beside the proxy.

use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::address::mcp_path;
use crate::spec::grammar::{IMAGE, PATH};

/// A server that the operator runs in the proxies' pods, as a native sidecar: up before the proxy, down after it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTemplate {
    /// Image of the server. Example: ghcr.io/github/github-mcp-server:v1.
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE))]
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
    /// Port that the server listens on. Not 8080, 9090 or 9091, which are the proxy's. Default: 3001. Example: 8082.
    #[serde(default = "server_port")]
    #[schemars(range(min = 1, max = 65_535))]
    #[x_kube(validation = Rule::new("!(self in [8080, 9090, 9091])").message("upstream.template.port must not be 8080, 9090 or 9091: the proxy listens there in the same pod"))]
    pub port: i32,
    /// Path of the server. Default: /mcp. Example: /v1/mcp.
    #[serde(default = "mcp_path")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = PATH))]
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
