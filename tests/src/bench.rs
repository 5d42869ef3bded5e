//! The benchmark: what the pool gains on real servers, and what the proxy costs beside nginx, in one run.

pub mod claims;
pub mod fast_server;
pub mod load;
pub mod nginx;
pub mod overhead;
pub mod report;
pub mod resources;
pub mod spread;
pub mod usage;
