//! Harness of the suites: real API servers, clusters, servers and clients.

pub mod bench;
pub mod binary;
pub mod browser;
pub mod chart_docs;
pub mod cluster;
pub mod collector;
pub mod control_plane;
pub mod docs;
pub mod eventually;
mod free_address;
pub mod helm;
pub mod kubernetes;
pub mod mcp_client;
pub mod operator;
pub mod plugin;
pub mod promtool;
pub mod proxy;
pub mod release;
pub mod rest;
pub mod schemathesis;
pub mod scripted;
mod supervisor;
pub mod traces;
pub mod upstream;

pub use binary::{binary, repository};
pub use browser::Browser;
pub use cluster::Cluster;
pub use control_plane::ControlPlane;
pub use eventually::eventually;
pub use free_address::{free_address, free_listener};
pub use proxy::Proxy;
