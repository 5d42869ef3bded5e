//! The API as the real API server sees it: rules, defaults, columns, scaling, selectable fields, explanations.

use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use crds::{SessionPool, manifest, schema};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tests::{ControlPlane, eventually};
use tokio::sync::OnceCell;

const READY: std::time::Duration = std::time::Duration::from_secs(30);

/// The shared control plane with the definition installed, and a namespace of the test's own.
async fn namespace(prefix: &str) -> Result<(Client, String)> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let control_plane = ControlPlane::shared().await?;
    let client = control_plane.client()?;
    INSTALLED.get_or_try_init(|| install(client.clone())).await?;
    Ok((client, control_plane.namespace(prefix).await?))
}

async fn install(client: Client) -> Result<()> {
    let crd: CustomResourceDefinition = serde_json::from_value(schema::json()?)?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    api.patch("sessionpools.mcpgateway.io", &PatchParams::apply("test").force(), &Patch::Apply(&crd)).await?;
    eventually(READY, "the API server to serve SessionPools", async || {
        let pools: Api<SessionPool> = Api::all(client.clone());
        pools.list(&ListParams::default()).await.map(drop).context("list")
    })
    .await
}

fn manifest_of(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool", "metadata": {"name": name}, "spec": spec})
}

fn with(changes: Value) -> Value {
    let mut spec = json!({"upstream": {"url": "http://mcp.example.com/mcp"}});
    if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
        spec.extend(changes);
    }
    spec
}

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
        rule(json!({"poolMinSize": 2, "poolMaxSize": 2}), json!({"poolMinSize": 3, "poolMaxSize": 2}), "poolMinSize must not be greater than poolMaxSize"),
        rule(json!({"poolMaxPerPrincipal": 2, "poolMaxSize": 2}), json!({"poolMaxPerPrincipal": 3, "poolMaxSize": 2}), "poolMaxPerPrincipal must not be greater than poolMaxSize"),
        rule(json!({"poolMaxPerPrincipal": 2}), json!({"poolMaxPerPrincipal": 2, "isolation": "Shared"}), "poolMaxPerPrincipal needs isolation"),
        rule(
            json!({"isolation": "Principal", "upstream": {"url": "http://a/mcp", "auth": {"type": "Passthrough"}}}),
            json!({"isolation": "Shared", "poolStrategy": "None", "upstream": {"url": "http://a/mcp", "auth": {"type": "Passthrough"}}}),
            "isolation Shared can't be used with upstream.auth.type Passthrough",
        ),
        rule(json!({"poolStrategy": "Sticky", "sticky": {}}), json!({"sticky": {}}), "sticky is read by poolStrategy Sticky only"),
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
        rule(json!({"forwardHeaders": ["X-Tenant"]}), json!({"forwardHeaders": ["authorization"]}), "forwardHeaders must not name a header of the transport"),
        rule(
            json!({"forwardHeaders": ["X-B"], "upstream": {"url": "http://a/mcp", "headers": {"X-A": "b"}}}),
            json!({"forwardHeaders": ["x-a"], "upstream": {"url": "http://a/mcp", "headers": {"X-A": "b"}}}),
            "forwardHeaders must not name a header that upstream.headers sets",
        ),
        rule(json!({"identityHeaders": ["Authorization"]}), json!({"identityHeaders": ["mcp-Session-Id"]}), "identityHeaders must not name"),
        rule(json!({}), up(json!({})), "exactly one of url, endpoints, serviceRef and template"),
        rule(
            up(json!({"serviceRef": {"name": "a", "port": 1}})),
            up(json!({"url": "http://a/mcp", "serviceRef": {"name": "a", "port": 1}})),
            "exactly one of url, endpoints, serviceRef and template",
        ),
        rule(
            up(json!({"endpoints": [{"url": "http://a/mcp"}]})),
            up(json!({"endpoints": [{"url": "http://a/mcp"}], "template": {"image": "a"}})),
            "exactly one of url, endpoints, serviceRef and template",
        ),
        rule(
            up(json!({"transport": "Stdio", "template": {"image": "a"}})),
            up(json!({"transport": "Stdio", "url": "http://a/mcp"})),
            "Stdio needs upstream.template",
        ),
        rule(up(json!({"url": "https://a:1/mcp?x=y"})), up(json!({"url": "ftp://a/mcp"})), "absolute http or https URL"),
        rule(up(json!({"url": "http://[::1]:3/mcp"})), up(json!({"url": "/mcp"})), "absolute http or https URL"),
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
            up(json!({"url": "http://a/mcp", "headers": {"authorization": "b"}, "auth": {"type": "Passthrough"}})),
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
            "must not be 8080 or 9090",
        ),
        rule(
            up(json!({"url": "http://a/mcp", "auth": {"type": "Static", "bearerTokenSecretRef": secret}})),
            up(json!({"url": "http://a/mcp", "auth": {"type": "Passthrough", "bearerTokenSecretRef": secret}})),
            "set exactly when upstream.auth.type is Static",
        ),
        rule(json!({"auth": {"tokenSecretRef": secret}}), json!({"auth": {}}), "exactly one of tokenSecretRef and jwt"),
        rule(jwt("https://a/keys"), jwt("http://a/keys"), "must be an https URL"),
        rule(
            json!({"optimization": {"minSize": 1, "maxSize": 1}}),
            json!({"optimization": {"minSize": 2, "maxSize": 1}}),
            "optimization.minSize must not be greater",
        ),
    ]
});

async fn dry_run(pools: &Api<SessionPool>, object: &Value) -> kube::Result<SessionPool> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let request = serde_json::to_vec(object).unwrap_or_default();
    let mut http = kube::core::Request::new(pools.resource_url()).create(&params, request).map_err(kube::Error::BuildRequest)?;
    http.extensions_mut().insert("create");
    pools.clone().into_client().request(http).await
}

/// The fields and messages with which the API server refuses an object.
async fn refusal(pools: &Api<SessionPool>, object: &Value) -> Result<Vec<(String, String)>> {
    let error = dry_run(pools, object).await.err().with_context(|| format!("taken: {object}"))?;
    let kube::Error::Api(status) = error else { bail!("{object}: {error}") };
    let causes = status.details.map(|details| details.causes).unwrap_or_default();
    Ok(causes.into_iter().map(|cause| (cause.field, cause.message)).collect())
}

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
        let read = manifest::parse(&object.to_string()).err().with_context(|| format!("taken in a file: {refused}"))?;
        let read: Vec<_> = read.complaints().iter().map(|one| (one.field.clone(), one.message.clone())).collect();
        let same = served.iter().all(|(field, message)| read.iter().any(|(f, m)| f == field && message.contains(m.as_str())));
        ensure!(same && served.len() == read.len(), "{refused}: from the API server {served:?}, from a file {read:?}");
    }
    Ok(())
}

/// No rule of the definition is without a case above.
#[test]
fn every_rule_has_a_case() -> Result<()> {
    fn messages(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
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
    let known = |message: &String| RULES.iter().map(|rule| rule.says).chain(names).any(|says| message.contains(says));
    let unknown: Vec<_> = all.iter().filter(|message| !known(message)).collect();
    ensure!(unknown.is_empty(), "rules without a case: {unknown:?}");
    Ok(())
}

/// Values on both sides of bounds that are no rules: API server and file agree on each.
#[tokio::test]
async fn bounds_are_the_same_in_files() -> Result<()> {
    let (client, namespace) = namespace("bounds").await?;
    let pools: Api<SessionPool> = Api::namespaced(client, &namespace);
    let url = |url: &str| json!({"upstream": {"url": url}});
    let reference = |name: &str, path: &str| json!({"upstream": {"serviceRef": {"name": name, "port": 1, "path": path}}});
    let endpoints = |all: Value| json!({"upstream": {"endpoints": all}});
    let headers = |count: usize| {
        let all: serde_json::Map<_, _> = (0..count).map(|number| (format!("X-{number}"), "a".into())).collect();
        json!({"upstream": {"url": "http://a", "headers": all}})
    };
    let taken = [
        url("http://localhost:3001/mcp"), url("http://[2001:db8::1]:65535"), url("https://a.b_c-d.e?q=%20"), url("http://a:80/"),
        reference("a-1", "/a%2Fb?c=d"), endpoints(json!([{"url": "http://a"}, {"url": "http://a/"}])), headers(64),
        json!({"poolMinSize": 0, "poolMaxSize": 10_000}), json!({"poolEnabled": null, "drain": null, "poolIdleSeconds": null}),
        json!({"forwardHeaders": ["X-A", "x-a"]}), json!({"resetToken": "ü".repeat(64)}),
        json!({"guard": {"maxUnavailable": "10%"}}), json!({"proxy": {"podTemplate": {"any": [1, null]}}}),
    ];
    let refused = [
        url(""), url("localhost:3001"), url("HTTP://a/mcp"), url("http://"), url("http:///mcp"), url("http://u:p@a/mcp"), url("http://u@a"),
        url("http://a:0/mcp"), url("http://a:65536/mcp"), url("http://a:/mcp"), url("http://a/%zz"), url("http://a/b c"), url("http://a/#b"),
        url("http://ä/mcp"), url(" http://a"), url("http://a\n"), url(&format!("http://a/{}", "b".repeat(2048))),
        reference("A", "/"), reference("a.b", "/"), reference("", "/"), reference("a", "mcp"), reference("a", "/a#b"),
        endpoints(json!([])), endpoints(json!([{"url": "http://a"}, {"url": "http://a", "weight": 2}])), endpoints(json!([{"weight": 1}])),
        endpoints(json!([{"url": "http://a", "weight": 1001}])), headers(65), headers(0).as_object().map_or(Value::Null, |_| json!({"upstream": {}})),
        json!({"poolMinSize": -1}), json!({"poolMaxSize": 0}), json!({"poolMaxSize": 10_001}), json!({"poolTimeout": 0}), json!({"poolTimeout": "5"}),
        json!({"poolTimeout": 1.5}), json!({"poolMinSize": 4_294_967_297_i64}), json!({"poolStrategy": "round_robin"}), json!({"isolation": ""}),
        json!({"identityHeaders": ["X-A", "X-A"]}), json!({"identityHeaders": ["X A"]}), json!({"identityHeaders": vec!["X"; 17]}), json!({"forwardHeaders": [""]}),
        json!({"forwardHeaders": [null]}), json!({"pinning": {"tools": ["a", "a"]}}), json!({"tlsSecretName": "A"}), json!({"resetToken": "ü".repeat(65)}),
        json!({"terminationGracePeriodSeconds": 9}), json!({"replicas": -1}), json!({"service": {"port": 65_536}}), json!({"proxy": {"image": "a b"}}),
        json!({"proxy": {"podTemplate": []}}), json!({"upstream": null}), json!({"upstream": {"serviceRef": {"name": "a"}}}),
    ];
    for spec in taken {
        let object = manifest_of("a", &with(spec.clone()));
        dry_run(&pools, &object).await.with_context(|| format!("refused: {spec}"))?;
        manifest::parse(&object.to_string()).with_context(|| format!("refused in a file: {spec}"))?;
    }
    for spec in refused {
        let object = manifest_of("a", &with(spec.clone()));
        let served = refusal(&pools, &object).await?;
        let read = manifest::parse(&object.to_string()).err().with_context(|| format!("taken in a file: {spec}, by the server {served:?}"))?;
        let top = |field: &str| field.split(['[', '.']).take(2).collect::<Vec<_>>().join(".");
        let fields: Vec<_> = read.complaints().iter().map(|one| top(&one.field)).collect();
        let agree = served.iter().any(|(field, _)| fields.iter().any(|other| top(field).starts_with(other.as_str())));
        ensure!(agree, "{spec}: the server says {served:?}, a file {read}");
    }
    Ok(())
}

#[tokio::test]
async fn names_are_checked() -> Result<()> {
    let (client, namespace) = namespace("names").await?;
    let pools: Api<SessionPool> = Api::namespaced(client, &namespace);
    dry_run(&pools, &manifest_of(&"a".repeat(50), &with(json!({})))).await?;
    for (name, says) in [("a".repeat(51), "at most 50 characters"), ("9a".into(), "start with a letter"), ("a.b".into(), "start with a letter")] {
        let object = manifest_of(&name, &with(json!({})));
        let answer = dry_run(&pools, &object).await.err().with_context(|| format!("{name} was taken"))?.to_string();
        ensure!(answer.contains(says), "{name}: {answer}");
        ensure!(manifest::parse(&object.to_string()).is_err(), "{name} was taken from a file");
    }
    Ok(())
}

#[tokio::test]
async fn defaults_are_stored_where_no_variable_backs_them() -> Result<()> {
    let (client, namespace) = namespace("defaults").await?;
    let pools: Api<SessionPool> = Api::namespaced(client.clone(), &namespace);
    let spec = with(json!({"poolMinSize": null, "poolEnabled": null, "drain": {"timeoutSeconds": null}}));
    dry_run(&pools, &manifest_of("a", &spec)).await?;
    let mut request = kube::core::Request::new(pools.resource_url())
        .create(&PostParams::default(), serde_json::to_vec(&manifest_of("a", &spec))?)?;
    request.extensions_mut().insert("create");
    let stored: Value = client.request(request).await?;
    for parameter in ["poolMinSize", "poolMaxSize", "poolTimeout", "poolRecycleSeconds", "poolPrePing"] {
        ensure!(stored["spec"].get(parameter).is_none(), "{parameter} was stored as {}", stored["spec"][parameter]);
    }
    let expected = json!({
        "poolEnabled": false, "poolStrategy": "RoundRobin", "isolation": "Principal", "poolIdleSeconds": 600,
        "poolMaxRequests": 0, "poolPrePingDelaySeconds": 5, "poolKeepaliveSeconds": 60, "poolMaxWaiters": 1000,
        "poolSessionConcurrency": 1, "maxDirectSessions": 1000, "clientSessionIdleSeconds": 1800,
        "disconnectGraceSeconds": 30, "desiredState": "Active", "replicas": 1, "terminationGracePeriodSeconds": 75,
        "identityHeaders": [], "forwardHeaders": [], "drain": {"timeoutSeconds": 60}, "optimization": {"mode": "Off"},
        "service": {"type": "ClusterIP", "port": 8080}, "guard": {"networkPolicy": "None"}
    });
    for (field, value) in expected.as_object().into_iter().flatten() {
        ensure!(&stored["spec"][field] == value, "{field} is {}, not {value}", stored["spec"][field]);
    }
    let object = manifest_of("a", &spec);
    let read = serde_json::to_value(manifest::parse(&object.to_string())?.spec)?;
    ensure!(read == stored["spec"], "from a file {read}, stored {}", stored["spec"]);
    Ok(())
}

#[tokio::test]
async fn columns_scale_and_selectors_work() -> Result<()> {
    let (client, namespace) = namespace("columns").await?;
    let pools: Api<SessionPool> = Api::namespaced(client.clone(), &namespace);
    for (name, strategy) in [("a", "RoundRobin"), ("b", "None")] {
        let pool: SessionPool = serde_json::from_value(manifest_of(name, &with(json!({"poolStrategy": strategy}))))?;
        pools.create(&PostParams::default(), &pool).await?;
    }
    let scale = json!({"spec": {"replicas": 3}});
    pools.patch_scale("a", &PatchParams::default(), &Patch::Merge(&scale)).await?;
    ensure!(pools.get("a").await?.spec.replicas == 3, "scaling did not change spec.replicas");
    let status = json!({"status": {
        "selector": "a=b", "replicas": 2, "readyReplicas": 1, "updatedReplicas": 1, "phase": "Degraded", "url": "http://a/mcp",
        "conditions": [{"type": "Ready", "status": "False", "reason": "Why", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "effective": {
            "poolEnabled": true, "poolStrategy": "RoundRobin", "poolMinSize": 1, "poolMaxSize": 10, "poolTimeout": 30,
            "poolRecycleSeconds": 3600, "poolPrePing": true
        },
        "stats": {
            "totalSessions": 4, "activeSessions": 3, "availableSessions": 1, "unhealthySessions": 5, "minSize": 2, "maxSize": 20,
            "totalAcquisitions": 6, "totalReleases": 6, "totalTimeouts": 7, "totalCreates": 8, "totalDestroys": 9
        }
    }});
    pools.patch_status("a", &PatchParams::default(), &Patch::Merge(&status)).await?;
    let scale = pools.get_scale("a").await?;
    let seen = scale.status.map(|status| (status.replicas, status.selector));
    ensure!(seen == Some((2, Some("a=b".to_owned()))), "the scale's status is {seen:?}");

    for (selector, expected) in [
        ("spec.poolStrategy=None", vec!["b"]),
        ("spec.desiredState=Active", vec!["a", "b"]),
        ("spec.desiredState=Drained", vec![]),
        ("spec.isolation=Principal,spec.poolStrategy!=None", vec!["a"]),
    ] {
        let found = pools.list(&ListParams::default().fields(selector)).await?;
        let names: Vec<_> = found.items.into_iter().filter_map(|pool| pool.metadata.name).collect();
        ensure!(names == expected, "{selector} selects {names:?}");
    }

    let mut request = kube::core::Request::new(pools.resource_url()).list(&ListParams::default())?;
    request.headers_mut().insert("accept", "application/json;as=Table;g=meta.k8s.io;v=v1".parse()?);
    request.extensions_mut().insert("list");
    let table: Value = client.request(request).await?;
    let columns = |wide: bool| -> Vec<&str> {
        let all = table["columnDefinitions"].as_array().into_iter().flatten();
        let shown = all.filter(|column| wide || column["priority"] == 0);
        shown.filter_map(|column| column["name"].as_str()).collect()
    };
    let narrow = ["Name", "Strategy", "Phase", "Ready", "Active", "Total", "Max", "Replicas", "Age"];
    ensure!(columns(false) == narrow, "columns are {:?}", columns(false));
    ensure!(columns(true).ends_with(&["Isolation", "Timeouts", "Unhealthy", "URL", "Reason"]), "{:?}", columns(true));
    let mut cells = table["rows"][0]["cells"].as_array().context("no cells")?.clone();
    let age = columns(true).iter().position(|name| *name == "Age").context("no age")?;
    cells.remove(age);
    let expected = json!(["a", "RoundRobin", "Degraded", "False", 3, 4, 20, 1, "Principal", 7, 5, "http://a/mcp", "Why"]);
    ensure!(json!(cells) == expected, "the cells are {cells:?}");
    Ok(())
}

/// `kubectl explain` shows the text of the types.
#[tokio::test]
async fn fields_are_explained() -> Result<()> {
    let (client, _) = namespace("explain").await?;
    let explained = eventually(READY, "the API server to publish the fields", async || {
        let request = kube::core::Request::new("/openapi/v3/apis/mcpgateway.io/v1alpha1");
        let request = request.list(&ListParams::default())?;
        let api: Value = client.request(request).await?;
        let pool = api["components"]["schemas"]["io.mcpgateway.v1alpha1.SessionPool"].clone();
        ensure!(pool.is_object(), "no schema of SessionPool");
        Ok(pool)
    })
    .await?;
    let text = |pointer: &str| explained.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let expected = [
        ("/description", "A pool of reusable sessions to one MCP server"),
        ("/properties/spec/properties/poolTimeout/description", "Default: the operator's POOL_TIMEOUT, else 30. Example: 10."),
        ("/properties/spec/properties/upstream/properties/endpoints/items/properties/weight/description", "Default: 1. Example: 3."),
        ("/properties/status/properties/phase/description", "conditions in one word"),
    ];
    for (pointer, says) in expected {
        ensure!(text(pointer).contains(says), "{pointer} says {:?}", text(pointer));
    }
    Ok(())
}

#[tokio::test]
async fn names_for_kubectl_are_published() -> Result<()> {
    let (client, _) = namespace("discovery").await?;
    let resources = client.list_api_group_resources("mcpgateway.io/v1alpha1").await?;
    let pools = resources.resources.iter().find(|resource| resource.name == "sessionpools").context("no sessionpools")?;
    ensure!(pools.short_names.as_deref() == Some(&["spool".to_owned()]), "short names {:?}", pools.short_names);
    ensure!(pools.categories.as_deref() == Some(&["mcp".to_owned()]), "categories {:?}", pools.categories);
    let unknown = manifest_of("a", &with(json!({"pool_min_size": 1})));
    let api: Api<SessionPool> = Api::default_namespaced(client);
    let mut params = PostParams { dry_run: true, ..PostParams::default() };
    params.field_manager = Some("test".into());
    let mut request = kube::core::Request::new(api.resource_url()).create(&params, serde_json::to_vec(&unknown)?)?;
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() = strict.parse()?;
    request.extensions_mut().insert("create");
    let answer = api.into_client().request::<Value>(request).await.err().context("an unknown field was taken")?;
    ensure!(answer.to_string().contains("unknown field \"spec.pool_min_size\""), "{answer}");
    Ok(())
}
