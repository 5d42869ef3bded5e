//! What keeps a client on its session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Work after which a client's next requests need the same session. A pinned session is closed when it is released.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pinning {
    /// Tools that leave something in the session. Default: none. Example: [open_transaction, browser_navigate].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub tools: Vec<String>,
    /// Starts of resource URIs that exist in one session only. Default: none. Example: ["session://"].
    #[serde(default, rename = "resourceURIPrefixes", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)), extend("x-kubernetes-list-type" = "set"))]
    pub resource_uri_prefixes: Vec<String>,
}
