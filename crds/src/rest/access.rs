//! Who asks, and what they may do.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asks, as the API server knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The name.
    pub user: String,
    /// The uid.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// What else the authenticator tells.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A right to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// To see it.
    Get,
    /// To see all pools.
    List,
    /// To change it.
    Update,
    /// To drain, resume, reset and disable it.
    Operate,
}

impl Right {
    /// The verb of Kubernetes.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Update | Self::Operate => "update",
        }
    }

    /// The subresource that the verb is about.
    pub const fn subresource(self) -> Option<&'static str> {
        match self {
            Self::Operate => Some("operate"),
            Self::Get | Self::List | Self::Update => None,
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = self.subresource().map(|subresource| format!("/{subresource}")).unwrap_or_default();
        write!(out, "{} on sessionpools{slash}", self.verb())
    }
}

/// What the caller may do to a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Permissions {
    /// Change its parameters.
    pub update: bool,
    /// Drain, resume, reset and disable it.
    pub operate: bool,
}
