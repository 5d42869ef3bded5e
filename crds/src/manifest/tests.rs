use serde_json::{Value, json};

use super::*;

/// A manifest with changes merged into its `spec`.
fn with(changes: &Value) -> String {
    let mut spec = json!({"upstream": {"url": "http://mcp.example.com/mcp"}});
    merge(&mut spec, changes);
    let pool = json!({
        "apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool", "metadata": {"name": "a"}, "spec": spec
    });
    pool.to_string()
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, change) in changes {
                if change.is_null() {
                    into.remove(name);
                } else {
                    merge(into.entry(name).or_insert(Value::Null), change);
                }
            }
        }
        (into, change) => *into = change.clone(),
    }
}

fn complaint(text: &str) -> String {
    parse(text).expect_err("it was taken").to_string().trim().to_owned()
}

#[test]
fn a_small_manifest_gets_its_defaults() {
    let pool = parse(&with(&json!({"poolMinSize": 2}))).unwrap();
    assert_eq!(pool.spec.pool_min_size, Some(2));
    assert_eq!((pool.spec.pool_max_size, pool.spec.pool_idle_seconds, pool.spec.replicas), (None, 600, 1));
}

#[test]
fn a_full_manifest_is_taken() {
    let changes = json!({
        "poolEnabled": true, "poolStrategy": "Sticky", "poolMinSize": 3, "poolMaxSize": 10, "isolation": "Session",
        "sticky": {"source": "Header", "headerName": "X-User-Id"}, "pinning": {"tools": ["open"]},
        "identityHeaders": ["X-User"], "forwardHeaders": ["X-Tenant"], "poolMaxPerPrincipal": 2,
        "upstream": {
            "url": null, "template": {"image": "a", "port": 8082, "env": [{"name": "A", "value": "b"}]},
            "auth": {"type": "Static", "bearerTokenSecretRef": {"name": "a", "key": "b"}}, "headers": {"X-A": "b"}
        },
        "auth": {"jwt": {"issuer": "https://a", "audiences": ["b"], "jwksURL": "https://a/keys"}},
        "proxy": {"podTemplate": {"spec": {"priorityClassName": "high"}}}, "guard": {"maxUnavailable": "50%"}
    });
    parse(&with(&changes)).unwrap();
}

#[test]
fn explicit_nulls_mean_unset() {
    let text = "apiVersion: mcpgateway.io/v1alpha1\nkind: SessionPool\nmetadata: {name: a}\nspec:\n  poolMinSize: null\n  upstream: {url: 'http://a/mcp', template: null}\n";
    assert_eq!(parse(text).unwrap().spec.pool_min_size, None);
    let text = "apiVersion: mcpgateway.io/v1alpha1\nkind: SessionPool\nmetadata: {name: a, creationTimestamp: null}\nspec:\n  poolEnabled: null\n  poolIdleSeconds: null\n  identityHeaders: null\n  drain: {timeoutSeconds: null}\n  upstream: {url: 'http://a/mcp', headers: {X-A: null}}\n";
    let spec = parse(text).unwrap().spec;
    assert_eq!((spec.pool_enabled, spec.pool_idle_seconds, spec.drain.timeout_seconds), (false, 600, 60));
    assert!(spec.identity_headers.is_empty() && spec.upstream.headers.is_empty());
}

#[test]
fn what_is_no_session_pool_is_named() {
    assert!(complaint("a: [").starts_with("no YAML"));
    assert!(complaint("{}").starts_with("apiVersion: must be mcpgateway.io/v1alpha1"));
    assert!(
        complaint("apiVersion: mcpgateway.io/v1alpha1\nkind: Pool").starts_with("kind: must be SessionPool")
    );
    let nameless = with(&json!({})).replace("{\"name\":\"a\"}", "{}");
    assert_eq!(complaint(&nameless), "metadata.name: is missing: give the pool a name");
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    let text = "apiVersion: mcpgateway.io/v1alpha1\nkind: SessionPool\nmetadata: {name: a}\nspec:\n  poolMinSize: 1\n  poolMinSize: 2\n  upstream: {url: 'http://a/mcp'}\n";
    let found = complaint(text);
    assert!(found.contains("duplicate entry with key \"poolMinSize\""), "{found}");
    let two = format!("{}\n---\n{}", with(&json!({})), with(&json!({})));
    assert!(complaint(&two).contains("more than one document"), "{}", complaint(&two));
}

#[test]
fn local_servers_are_taken() {
    for url in [
        "http://localhost:3001/mcp",
        "http://127.0.0.1:3001/mcp",
        "http://[::1]:3001/mcp",
        "https://localhost",
    ] {
        parse(&with(&json!({"upstream": {"url": url}}))).unwrap();
    }
}

#[test]
fn what_is_missing_is_named() {
    let cases = [
        (json!({"upstream": null}), "spec: missing field `upstream`"),
        (
            json!({"upstream": {"url": null, "serviceRef": {"name": "a"}}}),
            "spec.upstream.serviceRef: missing field `port`",
        ),
        (
            json!({"upstream": {"url": null, "endpoints": [{"weight": 1}]}}),
            "spec.upstream.endpoints[0]: missing field `url`",
        ),
    ];
    for (changes, expected) in cases {
        assert_eq!(complaint(&with(&changes)), expected);
    }
}

#[test]
fn items_that_must_differ_are_named() {
    let cases = [
        (
            json!({"identityHeaders": ["X-A", "X-B", "X-A"]}),
            "spec.identityHeaders[2]: \"X-A\" is given twice: remove one",
        ),
        (
            json!({"upstream": {"url": null, "endpoints": [{"url": "http://a"}, {"url": "http://a", "weight": 2}]}}),
            "spec.upstream.endpoints[1]: {\"url\":\"http://a\",\"weight\":2} is given twice: remove one",
        ),
    ];
    for (changes, expected) in cases {
        assert_eq!(complaint(&with(&changes)), expected);
    }
}

#[test]
fn several_complaints_come_at_once() {
    let found = complaint(&with(&json!({"poolMinSize": -1, "poolTimeout": 0, "pool_size": 1})));
    assert_eq!(found.lines().count(), 3, "{found}");
}

#[test]
fn unknown_fields_are_named_with_what_was_meant() {
    let cases = [
        (json!({"pool_min_size": 1}), "spec.pool_min_size: unknown field; did you mean poolMinSize?"),
        (json!({"poolMinSiz": 1}), "spec.poolMinSiz: unknown field; did you mean poolMinSize?"),
        (json!({"colour": 1}), "spec.colour: unknown field: remove it"),
        (json!({"minSize": 1}), "spec.minSize: unknown field; did you mean poolMinSize?"),
        (json!({"poolPreping": true}), "spec.poolPreping: unknown field; did you mean poolPrePing?"),
        (json!({"url": "http://a"}), "spec.url: unknown field; did you mean spec.upstream.url?"),
        (json!({"name": "a"}), "spec.name: unknown field: remove it"),
        (json!({"serviceRef": {}}), "spec.serviceRef: unknown field; did you mean spec.upstream.serviceRef?"),
        (
            json!({"upstream": {"isolation": "Shared"}}),
            "spec.upstream.isolation: unknown field; did you mean spec.isolation?",
        ),
        (json!({"upstream": {"headrs": {}}}), "spec.upstream.headrs: unknown field; did you mean headers?"),
    ];
    for (changes, expected) in cases {
        assert_eq!(complaint(&with(&changes)), expected);
    }
}

#[test]
fn wrong_types_and_bounds_name_their_field() {
    let cases = [
        (json!({"poolMinSize": "two"}), "spec.poolMinSize: invalid type"),
        (json!({"poolEnabled": "yes"}), "spec.poolEnabled: invalid type"),
        (json!({"poolStrategy": "round_robin"}), "spec.poolStrategy: unknown variant `round_robin`"),
        (json!({"poolMinSize": -1}), "spec.poolMinSize: must be from 0 to 10000, not -1"),
        (json!({"poolTimeout": 0}), "spec.poolTimeout: must be from 1 to 3600, not 0"),
        (json!({"identityHeaders": ["a b"]}), "spec.identityHeaders[0]: \"a b\" must match"),
        (json!({"resetToken": ""}), "spec.resetToken: must have at least 1 characters"),
    ];
    for (changes, expected) in cases {
        let found = complaint(&with(&changes));
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn rules_say_what_to_do() {
    let template = json!({"url": null, "template": {"image": "a"}});
    let cases = [
        (json!({"poolMinSize": 3, "poolMaxSize": 2}), "poolMinSize must not be greater than poolMaxSize"),
        (
            json!({"upstream": {"url": null}}),
            "exactly one of url, endpoints, serviceRef, template and sidecar",
        ),
        (
            json!({"upstream": {"template": {"image": "a"}}}),
            "exactly one of url, endpoints, serviceRef, template and sidecar",
        ),
        (json!({"upstream": {"url": "ftp://a"}}), "absolute http or https URL"),
        (json!({"upstream": {"url": "mcp.example.com"}}), "absolute http or https URL"),
        (json!({"upstream": {"transport": "Stdio"}}), "Stdio needs upstream.template"),
        (
            json!({"isolation": "Shared", "upstream": {"auth": {"type": "Passthrough"}}}),
            "can't be used with upstream.auth.type Passthrough",
        ),
        (json!({"upstream": {"auth": {"type": "Static"}}}), "set exactly when upstream.auth.type is Static"),
        (json!({"auth": {}}), "exactly one of tokenSecretRef and jwt"),
        (json!({"sticky": {"source": "Principal"}}), "set poolStrategy to Sticky or remove sticky"),
        (
            json!({"poolStrategy": "Sticky", "sticky": {"source": "Header"}}),
            "sticky.headerName is set exactly when",
        ),
        (json!({"poolMaxPerPrincipal": 5, "poolMaxSize": 4}), "poolMaxPerPrincipal must not be greater"),
        (json!({"poolMaxPerPrincipal": 1, "isolation": "Shared"}), "poolMaxPerPrincipal needs isolation"),
        (json!({"forwardHeaders": ["Mcp-Session-Id"]}), "forwardHeaders must not name"),
        (json!({"upstream": {"headers": {"Host": "a"}}}), "must not set a header of the transport"),
        (json!({"upstream": {"headers": {"a b": "c"}}}), "a name may hold letters"),
        (json!({"upstream": {"headers": {"X": "a\nb"}}}), "printable ASCII"),
        (json!({"optimization": {"minSize": 3, "maxSize": 2}}), "optimization.minSize must not be greater"),
        (
            json!({"upstream": {"url": null, "endpoints": [{"url": "http://a/mcp", "weight": 0}]}}),
            "a weight above 0",
        ),
    ];
    for (changes, expected) in cases {
        let found = complaint(&with(&changes));
        assert!(found.contains(expected), "{changes}: {found}");
    }
    let mut port = template;
    merge(&mut port, &json!({"template": {"port": 9090}}));
    assert!(complaint(&with(&json!({"upstream": port}))).contains("must not be 8080, 9090 or 9091"));
    let named = with(&json!({})).replace("\"a\"", "\"9lives\"");
    assert!(complaint(&named).contains("must start with a letter"));
}
