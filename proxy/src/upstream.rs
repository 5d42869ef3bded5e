//! The MCP server's side: opening sessions over Streamable HTTP and sending messages on them.

pub mod answer;
pub mod connector;
pub mod endpoints;
pub mod error;
mod handshake;
pub mod key;
pub mod session;

pub use self::{
    connector::{Destination, HttpConnector, Target},
    error::ConnectError,
    key::{Scope, SessionKey},
    session::UpstreamSession,
};
