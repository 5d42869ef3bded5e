//! The benchmark: direct, nginx and the proxy in front of one fast MCP server, in one run.

pub mod fast_server;
pub mod load;
pub mod nginx;
pub mod table;
pub mod usage;
