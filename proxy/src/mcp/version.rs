//! Revisions of the protocol.

use std::{fmt, str::FromStr};

/// A revision with sessions and Streamable HTTP that this proxy speaks, on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProtocolVersion {
    /// 2025-06-18
    V2025_06_18,
    /// 2025-11-25
    V2025_11_25,
}

/// The revision is not one of those that this proxy speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("protocol version {0:?} is not supported; use one of {supported}", supported = ProtocolVersion::list())]
pub struct UnsupportedVersion(pub String);

impl ProtocolVersion {
    /// All of them, oldest first, each at the place that its number as an enum gives.
    pub const ALL: [Self; 2] = [Self::V2025_06_18, Self::V2025_11_25];

    /// The newest one, which is offered to a client that asks for one we don't speak.
    pub const LATEST: Self = Self::V2025_11_25;

    /// The revision's date.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
        }
    }

    fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl FromStr for ProtocolVersion {
    type Err = UnsupportedVersion;

    fn from_str(text: &str) -> Result<Self, UnsupportedVersion> {
        let found = Self::ALL.into_iter().find(|version| version.as_str() == text);
        found.ok_or_else(|| UnsupportedVersion(text.to_owned()))
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
