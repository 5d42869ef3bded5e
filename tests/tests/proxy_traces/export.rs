//! Where spans go, which, and what becomes of requests when they can't.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use tests::collector::Collector;
use tests::free_address;
use tests::mcp_client::{POST_HEADERS, Session, tool_call};
use tests::proxy::{Setup, manifest};
use tests::scripted::Scripted;
use tokio::net::TcpListener;

use crate::{ready, span, traced};

#[tokio::test]
async fn the_environment_is_followed_and_the_end_awaited() -> Result<()> {
    let server = Scripted::start().await?;
    let collector = Collector::start().await?;
    let setup = Setup::new(&manifest(&server.url(), &json!({})).to_string())?
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("{}/", collector.url()))
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t,x-tenant=one")
        .variable("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,k8s.pod.name=p-1")
        .variable("OTEL_SERVICE_NAME", "pooled")
        // Longer than the test: what comes comes at the end.
        .variable("OTEL_BSP_SCHEDULE_DELAY", "600000");
    let proxy = ready(setup).await?;
    let client = Session::open(proxy.mcp).await?;
    client.tool("echo", &json!({"message": "m"})).await?;
    ensure!(collector.spans().is_empty(), "{:?}", collector.spans());
    let exit = proxy.terminate().await?;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
    let spans = collector.spans();
    let call = spans.iter().find(|span| span.name == "tools/call echo" && span.kind == "SERVER");
    let call = call.unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!(call.parent, None);
    assert_eq!(call.service, "pooled");
    for (name, value) in [("deployment.environment.name", "test"), ("k8s.pod.name", "p-1")] {
        assert_eq!(call.resource[name], value);
    }
    let headers = collector.headers();
    assert_eq!(headers[0]["authorization"], "Bearer t");
    assert_eq!(headers[0]["x-tenant"], "one");
    Ok(())
}

#[tokio::test]
async fn the_clients_decision_is_followed() -> Result<()> {
    let server = Scripted::start().await?;
    let collector = Collector::start().await?;
    let setup = traced(&server.url(), &json!({}), &collector)?
        .variable("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .variable("OTEL_TRACES_SAMPLER_ARG", "0");
    let proxy = ready(setup).await?;
    let client = Session::open(proxy.mcp).await?;
    for (id, flags) in [("none", None), ("no", Some("00")), ("yes", Some("01"))] {
        let parent =
            flags.map(|flags| format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"));
        let mut headers = POST_HEADERS.to_vec();
        headers.extend(parent.as_ref().map(|parent| ("traceparent", parent.as_str())));
        headers.push(("tracestate", "vendor=1"));
        let body = tool_call(&format!("\"{id}\""), "echo", &json!({"message": id}));
        client.send("POST", &headers, &body).await?.answer().await?;
        let seen = server.calls("echo").pop().expect("it came");
        // The server is told which it is, and whose.
        let told = seen.headers["traceparent"].to_str()?;
        assert!(told.ends_with(if id == "yes" { "-01" } else { "-00" }), "{id}: {told}");
        assert_eq!(seen.message["params"]["_meta"]["traceparent"], json!(told));
        let state = seen.headers.get("tracestate").map(|state| state.to_str()).transpose()?;
        assert_eq!(state, flags.map(|_| "vendor=1"), "{id}");
        assert_eq!(told.contains("0af7651916cd43dd8448eb211c80319c"), flags.is_some(), "{id}: {told}");
        assert!(!told.contains("b7ad6b7169203331"), "{id}: {told}");
    }
    span(&collector, "the one", |span| span.attribute("jsonrpc.request.id") == Some("yes")).await?;
    assert!(collector.spans().iter().all(|span| span.trace == "0af7651916cd43dd8448eb211c80319c"));
    Ok(())
}

/// The message's own context wins over that of the HTTP request, which is linked.
#[tokio::test]
async fn meta_is_the_parent() -> Result<()> {
    let server = Scripted::start().await?;
    let collector = Collector::start().await?;
    let proxy = ready(traced(&server.url(), &json!({}), &collector)?).await?;
    let client = Session::open(proxy.mcp).await?;
    let (inner, outer) = ("00f067aa0ba902b7", "b7ad6b7169203331");
    let header = format!("00-0af7651916cd43dd8448eb211c80319c-{outer}-01");
    let meta = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{inner}-01");
    let body = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {
        "name": "echo", "arguments": {"message": "m"}, "_meta": {"traceparent": meta, "baggage": "user=1"}
    }});
    let headers = [POST_HEADERS[0], POST_HEADERS[1], ("traceparent", &header)];
    client.send("POST", &headers, &body.to_string()).await?.answer().await?;
    let arrived = span(&collector, "the call", |span| span.parent.as_deref() == Some(inner)).await?;
    assert_eq!(arrived.links, [outer]);
    assert_eq!(arrived.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    let seen = server.calls("echo").remove(0);
    assert_eq!(seen.message["params"]["_meta"]["baggage"], "user=1");
    assert_eq!(
        seen.headers["traceparent"],
        seen.message["params"]["_meta"]["traceparent"].as_str().unwrap_or("?")
    );
    Ok(())
}

/// Calls over a proxy whose collector is not there, or takes connections and never answers.
async fn unaffected(endpoint: &str) -> Result<()> {
    let server = Scripted::start().await?;
    let setup = Setup::new(&manifest(&server.url(), &json!({})).to_string())?
        .arguments(&["--otlp-endpoint", endpoint])
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
        .variable("OTEL_BSP_MAX_QUEUE_SIZE", "16")
        .variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8");
    let proxy = ready(setup).await?;
    let clients = (0..8).map(|_| async {
        let client = Session::open(proxy.mcp).await?;
        for _ in 0..50 {
            let asked = Instant::now();
            client.tool("echo", &json!({"message": "m"})).await?;
            ensure!(asked.elapsed() < Duration::from_secs(3), "a call took {:?}", asked.elapsed());
        }
        anyhow::Ok(())
    });
    try_join_all(clients).await?;
    // The last attempt to export has five seconds.
    let exit = proxy.terminate().await?;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
    Ok(())
}

#[tokio::test]
async fn a_collector_that_is_not_there() -> Result<()> {
    unaffected(&format!("http://{}", free_address()?)).await
}

#[tokio::test]
async fn a_collector_that_does_not_answer() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let outcome = unaffected(&format!("http://{address}")).await;
    silent.abort();
    outcome
}

#[tokio::test]
async fn what_is_not_supported_is_said() -> Result<()> {
    let text = manifest("http://127.0.0.1:9/mcp", &json!({})).to_string();
    for (name, value, words) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "use http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem", "OTEL_EXPORTER_OTLP_CERTIFICATE is not supported"),
        ("OTEL_PROPAGATORS", "b3", "tracecontext"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "compressed with gzip is not supported"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "http or https URL"),
    ] {
        let setup = Setup::new(&text)?
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
            .variable(name, value);
        let exit = setup.run().await?;
        assert_eq!(exit.code, Some(1), "{name}: {}", exit.log);
        assert!(exit.log.contains(words), "{name}: {}", exit.log);
    }
    Ok(())
}
