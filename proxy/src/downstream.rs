//! The clients' side: what a request must look like, who it comes from, which client session it belongs to.

pub mod capabilities;
pub mod checks;
pub mod client;
pub mod clients;
pub mod keyring;
pub mod mailbox;
pub mod principal;
pub mod questions;
pub mod reply;
pub mod session_key;
pub mod token;

/// How a client talks to the proxy. A request's era is known from its headers and method alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// With a handshake and a session id: 2025-06-18 and 2025-11-25.
    Session,
}

impl Era {
    /// The era of a request on a client session. Who matches on it must say what becomes of each era.
    ///
    /// # Errors
    /// If its `MCP-Protocol-Version` is none that we speak.
    pub fn of(headers: &hyper::HeaderMap) -> Result<Self, checks::Rejection> {
        checks::version(headers).map(|()| Self::Session)
    }
}
