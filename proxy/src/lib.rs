//! The session pool's proxy.
//!
//! A request goes `server` → `gateway` → `pool` → `upstream`:
//! - [`downstream`]: what a client's request must look like, and which client session it belongs to;
//! - [`gateway`]: from that request to a leased slot and back;
//! - [`pool`]: which slot, when slots are opened and closed; knows neither HTTP nor MCP;
//! - [`strategy`]: which of several slots; sees numbers only;
//! - [`upstream`]: sessions with the MCP server;
//! - [`peers`]: the other proxies of the pool, where client sessions may live;
//! - [`mcp`]: the wire format on both sides;
//! - [`api`]: REST of a proxy without Kubernetes;
//! - [`trace`]: spans of all that, where they are wanted;
//! - [`config`], [`admin`], [`metrics`], [`readiness`], [`server`], [`signals`]: running the process.

pub mod admin;
pub mod api;
pub mod args;
pub mod config;
pub mod downstream;
pub mod gateway;
pub mod mcp;
pub mod measured;
pub mod memory;
pub mod metrics;
pub mod operations;
pub mod peers;
pub mod pool;
pub mod readiness;
pub mod reload;
pub mod run;
pub mod server;
pub mod signals;
pub mod strategy;
pub mod telemetry;
pub mod trace;
pub mod upstream;
