//! What poolStrategy Sticky goes by.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grammar::HEADER_NAME;

/// Requests with the same key go to the same session.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("(self.source == 'Header') == has(self.headerName)").message("sticky.headerName is set exactly when sticky.source is Header").field_path(".headerName"))]
#[serde(rename_all = "camelCase")]
pub struct Sticky {
    /// Where the key comes from. Default: ClientSession. Example: Header.
    #[serde(default)]
    pub source: StickySource,
    /// The header that holds the key, for source Header. Default: none. Example: X-User-Id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = HEADER_NAME))]
    pub header_name: Option<String>,
    /// Seconds after which a session that is bound to a key may be recycled in spite of it. Default: 86400. Example: 3600.
    #[serde(default = "max_age")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub max_age_seconds: i32,
}

impl Default for Sticky {
    fn default() -> Self {
        Self { source: StickySource::default(), header_name: None, max_age_seconds: max_age() }
    }
}

fn max_age() -> i32 {
    86_400
}

/// Where the affinity key comes from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum StickySource {
    /// The client session.
    #[default]
    ClientSession,
    /// The principal.
    Principal,
    /// A request header.
    Header,
}
