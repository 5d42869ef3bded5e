//! Types, ranges, lengths, patterns and repeated items, from an API server and from a file.

use anyhow::{Context, Result, ensure};
use crds::{SessionPool, manifest};
use kube::Api;
use serde_json::{Value, json};

use crate::{dry_run, manifest_of, namespace, refusal, with};

/// Values on both sides of bounds that are no rules: API server and file agree on each.
#[tokio::test]
async fn bounds_are_the_same_in_files() -> Result<()> {
    let (client, namespace) = namespace("bounds").await?;
    let pools: Api<SessionPool> = Api::namespaced(client, &namespace);
    let url = |url: &str| json!({"upstream": {"url": url}});
    let reference =
        |name: &str, path: &str| json!({"upstream": {"serviceRef": {"name": name, "port": 1, "path": path}}});
    let endpoints = |all: Value| json!({"upstream": {"endpoints": all}});
    let headers = |count: usize| {
        let all: serde_json::Map<_, _> =
            (0..count).map(|number| (format!("X-{number}"), "a".into())).collect();
        json!({"upstream": {"url": "http://a", "headers": all}})
    };
    let taken = [
        url("http://localhost:3001/mcp"),
        url("http://[2001:db8::1]:65535"),
        url("https://a.b_c-d.e?q=%20"),
        url("http://a:80/"),
        reference("a-1", "/a%2Fb?c=d"),
        reference("1a", "/"),
        endpoints(json!([{"url": "http://a"}, {"url": "http://a/"}])),
        headers(64),
        json!({"poolMinSize": 0, "poolMaxSize": 10_000}),
        json!({"poolEnabled": null, "drain": null, "poolIdleSeconds": null}),
        json!({"forwardHeaders": ["X-A", "x-a"]}),
        json!({"resetToken": "ü".repeat(64)}),
        json!({"guard": {"maxUnavailable": "10%"}}),
        json!({"proxy": {"podTemplate": {"any": [1, null]}}}),
    ];
    let refused = [
        url(""),
        url("localhost:3001"),
        url("HTTP://a/mcp"),
        url("http://"),
        url("http:///mcp"),
        url("http://u:p@a/mcp"),
        url("http://u@a"),
        url("http://a:0/mcp"),
        url("http://a:65536/mcp"),
        url("http://a:/mcp"),
        url("http://a/%zz"),
        url("http://a/b c"),
        url("http://a/#b"),
        url("http://ä/mcp"),
        url(" http://a"),
        url("http://a\n"),
        url(&format!("http://a/{}", "b".repeat(2048))),
        reference("A", "/"),
        reference("a.b", "/"),
        reference("", "/"),
        reference("a", "mcp"),
        reference("a", "/a#b"),
        endpoints(json!([])),
        endpoints(json!([{"url": "http://a"}, {"url": "http://a", "weight": 2}])),
        endpoints(json!([{"weight": 1}])),
        endpoints(json!([{"url": "http://a", "weight": 1001}])),
        headers(65),
        json!({"poolMinSize": -1}),
        json!({"poolMaxSize": 0}),
        json!({"poolMaxSize": 10_001}),
        json!({"poolTimeout": 0}),
        json!({"poolTimeout": "5"}),
        json!({"poolTimeout": 1.5}),
        json!({"poolMinSize": 4_294_967_297_i64}),
        json!({"poolStrategy": "round_robin"}),
        json!({"isolation": ""}),
        json!({"identityHeaders": ["X-A", "X-A"]}),
        json!({"identityHeaders": ["X A"]}),
        json!({"identityHeaders": vec!["X"; 17]}),
        json!({"forwardHeaders": [""]}),
        json!({"forwardHeaders": [null]}),
        json!({"pinning": {"tools": ["a", "a"]}}),
        json!({"tlsSecretName": "A"}),
        json!({"resetToken": "ü".repeat(65)}),
        json!({"terminationGracePeriodSeconds": 9}),
        json!({"replicas": -1}),
        json!({"service": {"port": 65_536}}),
        json!({"proxy": {"image": "a b"}}),
        json!({"proxy": {"podTemplate": []}}),
        json!({"upstream": null}),
        json!({"upstream": {"serviceRef": {"name": "a"}}}),
    ];
    for spec in taken {
        let object = manifest_of("a", &with(spec.clone()));
        dry_run(&pools, &object).await.with_context(|| format!("refused: {spec}"))?;
        manifest::parse(&object.to_string()).with_context(|| format!("refused in a file: {spec}"))?;
    }
    for spec in refused {
        let object = manifest_of("a", &with(spec.clone()));
        let served = refusal(&pools, &object).await?;
        let read = manifest::parse(&object.to_string())
            .err()
            .with_context(|| format!("taken in a file: {spec}, by the server {served:?}"))?;
        let top = |field: &str| field.split(['[', '.']).take(2).collect::<Vec<_>>().join(".");
        let fields: Vec<_> = read.complaints().iter().map(|one| top(&one.field)).collect();
        let agree =
            served.iter().any(|(field, _)| fields.iter().any(|other| top(field).starts_with(other.as_str())));
        ensure!(agree, "{spec}: the server says {served:?}, a file {read}");
    }
    Ok(())
}
