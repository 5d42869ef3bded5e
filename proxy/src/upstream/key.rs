//! What upstream sessions are told apart by.

use std::{fmt, sync::Arc};

use hyper::header::{HeaderName, HeaderValue};

use crate::{
    mcp::ProtocolVersion,
    pool::{self, key::Principal},
};

/// Whose requests a session may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everyone's.
    Shared,
    /// Those of one principal, named by a keyed hash.
    Principal([u8; 16]),
    /// Those of one client session.
    Client([u8; 16]),
    /// Those of one client session, outside the pool.
    Direct([u8; 16]),
    /// Nobody's yet: opened ahead of the client.
    Warm,
}

/// Headers that a session is opened with on behalf of its clients. Their values may be secret.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ForwardedHeaders(Arc<[(HeaderName, HeaderValue)]>);

impl ForwardedHeaders {
    /// Headers in the order in which the configuration names them.
    pub fn new(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self(headers.into())
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }
}

impl fmt::Debug for ForwardedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Two requests may share a session only if all of this is equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The version that the session is opened with.
    pub version: ProtocolVersion,
    /// The client's capabilities, as JSON.
    pub capabilities: Arc<str>,
    /// Whose session it is.
    pub scope: Scope,
    /// The principal whose cap it counts for; none where the cap does not apply.
    pub principal: Option<Principal>,
    /// What the client's request adds to the session's own headers.
    pub headers: ForwardedHeaders,
}

impl SessionKey {
    /// The key of a session that is opened before any client is known.
    pub fn warm(scope: Scope) -> Self {
        Self {
            version: ProtocolVersion::LATEST,
            capabilities: "{}".into(),
            scope,
            principal: None,
            headers: ForwardedHeaders::default(),
        }
    }
}

impl SessionKey {
    /// The key of a slot that is to serve one client session only.
    #[must_use]
    pub fn owned_by(&self, client: [u8; 16]) -> Self {
        Self { scope: Scope::Client(client), ..self.clone() }
    }
}

impl pool::Key for SessionKey {
    fn is_bound(&self) -> bool {
        matches!(self.scope, Scope::Client(_) | Scope::Direct(_))
    }

    fn is_direct(&self) -> bool {
        matches!(self.scope, Scope::Direct(_))
    }

    fn principal(&self) -> Option<Principal> {
        self.principal
    }

    fn warm(&self) -> Option<Self> {
        let unclaimed = matches!(self.scope, Scope::Client(_) | Scope::Principal(_));
        // Servers ask for roots as soon as a session is open, when nobody is there to answer.
        (unclaimed && !self.capabilities.contains("\"roots\"")).then(|| Self {
            scope: Scope::Warm,
            principal: None,
            ..self.clone()
        })
    }
}
