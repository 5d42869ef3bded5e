//! Traces: from a client through the proxy to the server, in headers and in `_meta`.

mod export;
mod off;
mod pool;
mod tree;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::collector::{Collector, Span};
use tests::eventually;
use tests::proxy::{Proxy, Setup, manifest};

const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy that exports to `collector` without delay.
fn traced(url: &str, spec: &Value, collector: &Collector) -> Result<Setup> {
    let setup = Setup::new(&manifest(url, spec).to_string())?
        .arguments(&["--otlp-endpoint", &collector.url()])
        .variable("OTEL_BSP_SCHEDULE_DELAY", "50");
    Ok(setup)
}

async fn ready(setup: Setup) -> Result<Proxy> {
    let proxy = setup.start().await?;
    proxy.wait_until_ready().await?;
    Ok(proxy)
}

/// The span that `wanted` picks, once it is there.
async fn span(collector: &Collector, what: &str, wanted: impl Fn(&Span) -> bool) -> Result<Span> {
    eventually(PATIENCE, what, async || {
        let spans = collector.spans();
        spans.iter().find(|span| wanted(span)).cloned().with_context(|| format!("{spans:#?}"))
    })
    .await
}

/// The parts of `parent` in the order of their begin, once there are `count`.
async fn parts(collector: &Collector, parent: &Span, count: usize) -> Result<Vec<Span>> {
    parts_where(collector, parent, count, |_| true).await
}

/// Those of them that are calls to the server.
async fn calls(collector: &Collector, parent: &Span, count: usize) -> Result<Vec<Span>> {
    parts_where(collector, parent, count, |span| span.kind == "CLIENT").await
}

async fn parts_where(
    collector: &Collector,
    parent: &Span,
    count: usize,
    wanted: impl Fn(&Span) -> bool,
) -> Result<Vec<Span>> {
    eventually(PATIENCE, "the span's parts", async || {
        let mut parts = collector.spans();
        parts.retain(|span| {
            span.trace == parent.trace && span.parent.as_ref() == Some(&parent.id) && wanted(span)
        });
        parts.sort_by_key(|span| span.start);
        ensure!(parts.len() == count, "{parent:#?}\n{parts:#?}");
        Ok(parts)
    })
    .await
}
