//! Where a server that runs elsewhere is.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::spec::grammar::{PATH, SERVICE_NAME, URL_RULE};

/// One of several addresses of a server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The address. Example: <http://10.0.0.1:3001/mcp>.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new(URL_RULE).message("upstream.endpoints: url must be an absolute http or https URL without user and password, such as http://mcp.example.com/mcp"))]
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
    #[schemars(length(min = 1, max = 63), regex(pattern = SERVICE_NAME))]
    pub name: String,
    /// Port of the Service. Example: 8082.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Path of the server. Default: /mcp. Example: /v1/mcp.
    #[serde(default = "mcp_path")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = PATH))]
    pub path: String,
}

pub(super) fn mcp_path() -> String {
    "/mcp".into()
}
