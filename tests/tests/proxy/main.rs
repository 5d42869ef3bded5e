//! The proxy from outside: what clients, servers and people at its admin port see.

mod admin;
mod advice;
mod configuration;
mod control;
mod disconnects;
mod ending;
mod forwarding;
mod handshake;
mod healing;
mod ids;
mod isolation;
mod pool;
mod questions;
mod real;
mod refusals;
mod rest;
mod restart;
mod streams;

use anyhow::Result;
use serde_json::Value;
use tests::Proxy;
use tests::scripted::Scripted;

/// A scripted server, and a ready proxy with `spec` in front of it.
async fn in_front(spec: Value) -> Result<(Scripted, Proxy)> {
    let server = Scripted::start().await?;
    let proxy = Proxy::ready(&server.url(), &spec).await?;
    Ok((server, proxy))
}
