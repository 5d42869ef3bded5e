//! What is stored where an object says nothing.

use anyhow::{Result, ensure};
use crds::{SessionPool, manifest};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{dry_run, manifest_of, namespace, with};

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
        ensure!(
            stored["spec"].get(parameter).is_none(),
            "{parameter} was stored as {}",
            stored["spec"][parameter]
        );
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
