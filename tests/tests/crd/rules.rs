//! Each rule of the definition, from an API server and from a file.

use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use crds::{SessionPool, manifest, schema};
use kube::Api;
use serde_json::{Value, json};

use crate::{dry_run, manifest_of, namespace, refusal, with};

struct Rule {
    /// A specification that the rule takes.
    taken: Value,
    /// One that it refuses.
    refused: Value,
    /// What the refusal says.
    says: &'static str,
}

fn rule(taken: Value, refused: Value, says: &'static str) -> Rule {
    Rule { taken: with(taken), refused: with(refused), says }
}

/// Each rule of the definition, with a case on either side of it.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let secret = json!({"name": "a", "key": "b"});
    let jwt = |url: &str| json!({"auth": {"jwt": {"issuer": "a", "audiences": ["b"], "jwksURL": url}}});
    let up = |upstream: Value| json!({ "upstream": upstream });
    vec![
        rule(
            json!({"poolMinSize": 2, "poolMaxSize": 2}),
            json!({"poolMinSize": 3, "poolMaxSize": 2}),
            "poolMinSize must not be greater than poolMaxSize",
        ),
        rule(
            json!({"poolMaxPerPrincipal": 2, "poolMaxSize": 2}),
            json!({"poolMaxPerPrincipal": 3, "poolMaxSize": 2}),
            "poolMaxPerPrincipal must not be greater than poolMaxSize",
        ),
        rule(
            json!({"poolMaxPerPrincipal": 2}),
            json!({"poolMaxPerPrincipal": 2, "isolation": "Shared"}),
            "poolMaxPerPrincipal needs isolation",
        ),
        rule(
            json!({"isolation": "Principal", "upstream": {"url": "http://a/mcp", "auth": {"type": "Passthrough"}}}),
            json!({"isolation": "Shared", "poolStrategy": "None", "upstream": {"url": "http://a/mcp", "auth": {"type": "Passthrough"}}}),
            "isolation Shared can't be used with upstream.auth.type Passthrough",
        ),
        rule(
            json!({"poolStrategy": "Sticky", "sticky": {}}),
            json!({"sticky": {}}),
            "sticky is read by poolStrategy Sticky only",
        ),
        rule(
            json!({"poolStrategy": "Sticky", "sticky": {"source": "Header", "headerName": "X"}}),
            json!({"poolStrategy": "Sticky", "sticky": {"source": "Header"}}),
            "sticky.headerName is set exactly when",
        ),
        rule(
            json!({"poolStrategy": "Sticky", "sticky": {"source": "Principal"}}),
            json!({"poolStrategy": "Sticky", "sticky": {"source": "Principal", "headerName": "X"}}),
            "sticky.headerName is set exactly when",
        ),
        rule(
            json!({"forwardHeaders": ["X-Tenant"]}),
            json!({"forwardHeaders": ["authorization"]}),
            "forwardHeaders must not name a header of the transport",
        ),
        rule(
            json!({"forwardHeaders": ["X-B"], "upstream": {"url": "http://a/mcp", "headers": {"X-A": "b"}}}),
            json!({"forwardHeaders": ["x-a"], "upstream": {"url": "http://a/mcp", "headers": {"X-A": "b"}}}),
            "forwardHeaders must not name a header that upstream.headers sets",
        ),
        rule(
            json!({"identityHeaders": ["Authorization"]}),
            json!({"identityHeaders": ["mcp-Session-Id"]}),
            "identityHeaders must not name",
        ),
        rule(json!({}), up(json!({})), "exactly one of url, endpoints, serviceRef, template and sidecar"),
        rule(
            up(json!({"serviceRef": {"name": "a", "port": 1}})),
            up(json!({"url": "http://a/mcp", "serviceRef": {"name": "a", "port": 1}})),
            "exactly one of url, endpoints, serviceRef, template and sidecar",
        ),
        rule(
            up(json!({"endpoints": [{"url": "http://a/mcp"}]})),
            up(json!({"endpoints": [{"url": "http://a/mcp"}], "template": {"image": "a"}})),
            "exactly one of url, endpoints, serviceRef, template and sidecar",
        ),
        rule(
            up(json!({"transport": "Stdio", "template": {"image": "a"}})),
            up(json!({"transport": "Stdio", "url": "http://a/mcp"})),
            "Stdio needs upstream.template",
        ),
        rule(
            up(json!({"url": "https://a:1/mcp?x=y"})),
            up(json!({"url": "ftp://a/mcp"})),
            "absolute http or https URL",
        ),
        rule(
            up(json!({"url": "http://[::1]:3/mcp"})),
            up(json!({"url": "/mcp"})),
            "absolute http or https URL",
        ),
        rule(
            up(json!({"endpoints": [{"url": "http://a/mcp"}]})),
            up(json!({"endpoints": [{"url": "a"}]})),
            "upstream.endpoints: url must be an absolute",
        ),
        rule(
            up(json!({"endpoints": [{"url": "http://a/mcp", "weight": 0}, {"url": "http://b/mcp"}]})),
            up(json!({"endpoints": [{"url": "http://a/mcp", "weight": 0}]})),
            "a weight above 0",
        ),
        rule(
            up(json!({"url": "http://a/mcp", "headers": {"X-A": "b c"}})),
            up(json!({"url": "http://a/mcp", "headers": {"X A": "b"}})),
            "a name may hold letters",
        ),
        rule(
            up(json!({"url": "http://a/mcp", "headers": {"Authorization": "b"}})),
            up(json!({"url": "http://a/mcp", "headers": {"HOST": "b"}})),
            "must not set a header of the transport",
        ),
        rule(
            up(json!({"url": "http://a/mcp", "headers": {"authorization": "b"}, "auth": {}})),
            up(
                json!({"url": "http://a/mcp", "headers": {"authorization": "b"}, "auth": {"type": "Passthrough"}}),
            ),
            "upstream.headers must not set Authorization when",
        ),
        rule(
            up(json!({"url": "http://a/mcp", "headers": {"X": ""}})),
            up(json!({"url": "http://a/mcp", "headers": {"X": "a\r\nb: c"}})),
            "printable ASCII",
        ),
        rule(
            up(json!({"template": {"image": "a", "port": 8081}})),
            up(json!({"template": {"image": "a", "port": 8080}})),
            "must not be 8080, 9090 or 9091",
        ),
        rule(
            up(json!({"template": {"image": "a"}})),
            up(json!({"template": {"image": "a"}, "sidecar": {}})),
            "exactly one of url, endpoints, serviceRef, template and sidecar",
        ),
        rule(
            up(json!({"sidecar": {"port": 8080}})),
            up(json!({"sidecar": {"port": 18080}})),
            "must not be 9090, 9091 or 18080",
        ),
        rule(
            up(json!({"sidecar": {"portName": "http"}})),
            up(json!({"sidecar": {"portName": "admin"}})),
            "must not be admin or peers",
        ),
        rule(
            up(json!({"url": "http://a/mcp", "auth": {"type": "Static", "bearerTokenSecretRef": secret}})),
            up(
                json!({"url": "http://a/mcp", "auth": {"type": "Passthrough", "bearerTokenSecretRef": secret}}),
            ),
            "set exactly when upstream.auth.type is Static",
        ),
        rule(
            json!({"auth": {"tokenSecretRef": secret}}),
            json!({"auth": {}}),
            "exactly one of tokenSecretRef and jwt",
        ),
        rule(jwt("https://a/keys"), jwt("http://a/keys"), "must be an https URL"),
        rule(
            json!({"optimization": {"minSize": 1, "maxSize": 1}}),
            json!({"optimization": {"minSize": 2, "maxSize": 1}}),
            "optimization.minSize must not be greater",
        ),
    ]
});

#[tokio::test]
async fn each_rule_takes_and_refuses() -> Result<()> {
    let (client, namespace) = namespace("rules").await?;
    let pools: Api<SessionPool> = Api::namespaced(client, &namespace);
    for Rule { taken, refused, says } in RULES.iter() {
        let object = manifest_of("a", taken);
        dry_run(&pools, &object).await.with_context(|| format!("refused: {taken}"))?;
        manifest::parse(&object.to_string()).with_context(|| format!("refused in a file: {taken}"))?;

        let object = manifest_of("a", refused);
        let served = refusal(&pools, &object).await?;
        ensure!(served.iter().any(|(_, message)| message.contains(says)), "{refused}: {served:?}");
        let read = manifest::parse(&object.to_string())
            .err()
            .with_context(|| format!("taken in a file: {refused}"))?;
        let read: Vec<_> =
            read.complaints().iter().map(|one| (one.field.clone(), one.message.clone())).collect();
        let same = served
            .iter()
            .all(|(field, message)| read.iter().any(|(f, m)| f == field && message.contains(m.as_str())));
        ensure!(
            same && served.len() == read.len(),
            "{refused}: from the API server {served:?}, from a file {read:?}"
        );
    }
    Ok(())
}

/// No rule of the definition is without a case above.
#[test]
fn every_rule_has_a_case() -> Result<()> {
    fn messages(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for rule in
                    fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
                {
                    out.push(rule["message"].as_str().unwrap_or_default().to_owned());
                }
                fields.values().for_each(|value| messages(value, out));
            }
            Value::Array(items) => items.iter().for_each(|item| messages(item, out)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    messages(&schema::json()?["spec"], &mut all);
    let names = ["metadata.name must have at most 50", "metadata.name must start with a letter"];
    let known =
        |message: &String| RULES.iter().map(|rule| rule.says).chain(names).any(|says| message.contains(says));
    let unknown: Vec<_> = all.iter().filter(|message| !known(message)).collect();
    ensure!(unknown.is_empty(), "rules without a case: {unknown:?}");
    Ok(())
}

#[tokio::test]
async fn names_are_checked() -> Result<()> {
    let (client, namespace) = namespace("names").await?;
    let pools: Api<SessionPool> = Api::namespaced(client, &namespace);
    dry_run(&pools, &manifest_of(&"a".repeat(50), &with(json!({})))).await?;
    for (name, says) in [
        ("a".repeat(51), "at most 50 characters"),
        ("9a".into(), "start with a letter"),
        ("a.b".into(), "start with a letter"),
    ] {
        let object = manifest_of(&name, &with(json!({})));
        let answer =
            dry_run(&pools, &object).await.err().with_context(|| format!("{name} was taken"))?.to_string();
        ensure!(answer.contains(says), "{name}: {answer}");
        ensure!(manifest::parse(&object.to_string()).is_err(), "{name} was taken from a file");
    }
    Ok(())
}
