//! Harness of the suites: real API servers, clusters, servers and clients.

pub mod bench;
pub mod binary;
pub mod cluster;
pub mod collector;
pub mod control_plane;
pub mod eventually;
pub mod kubernetes;
pub mod mcp_client;
mod promtool;
pub mod proxy;
pub mod scripted;
mod supervisor;
pub mod traces;
pub mod upstream;

pub use binary::{binary, repository};
pub use cluster::Cluster;
pub use control_plane::ControlPlane;
pub use eventually::eventually;
pub use promtool::promtool;
pub use proxy::Proxy;
