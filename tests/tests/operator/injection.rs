//! What becomes of pods that ask for a proxy, by the policies alone.

use anyhow::{Context as _, Result, ensure};
use crds::{SessionPool, names};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::bench::{Bench, until};

fn pool(name: &str, upstream: &Value) -> String {
    let spec = json!({
        "poolEnabled": true, "upstream": upstream,
        "proxy": {"image": "proxy:mine", "logFilter": "debug", "resources": {"limits": {"memory": "64Mi"}}}
    });
    let metadata = json!({"name": name});
    json!({"apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": metadata, "spec": spec})
        .to_string()
}

fn pod(metadata: &Value) -> Result<Pod> {
    let server = json!({
        "name": "server", "image": "server:1", "ports": [{"name": "http", "containerPort": 8080}]
    });
    let hooked =
        json!({"name": "own", "image": "own:1", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}});
    let mut metadata = metadata.clone();
    metadata["generateName"] = json!("pod-");
    Ok(serde_json::from_value(json!({"metadata": metadata, "spec": {"containers": [server, hooked]}}))?)
}

async fn create(bench: &Bench, metadata: &Value) -> Result<Pod> {
    Ok(bench.api::<Pod>().create(&PostParams::default(), &pod(metadata)?).await?)
}

/// The API server knows a pool's name a moment after the pool is there.
async fn injected(bench: &Bench, metadata: &Value) -> Result<Pod> {
    until("a pod with a proxy", async || Ok(create(bench, metadata).await.ok())).await
}

fn containers(pod: &Pod) -> Result<&[Container]> {
    Ok(&pod.spec.as_ref().context("no spec")?.containers)
}

fn pre_stop(container: &Container) -> Option<i64> {
    Some(container.lifecycle.as_ref()?.pre_stop.as_ref()?.sleep.as_ref()?.seconds)
}

#[tokio::test]
async fn a_pod_that_asks_gets_the_pools_proxy() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&pool("web", &json!({"sidecar": {"port": 8080, "portName": "http"}}))).await?;
    let by_label = json!({"labels": {"app": "mine", names::INJECT: "web"}});
    let pod = injected(&bench, &by_label).await?;
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    ensure!(labels.get(names::POOL_LABEL).map(String::as_str) == Some("web"), "{labels:?}");
    ensure!(labels.get("app").map(String::as_str) == Some("mine"), "{labels:?}");
    let [proxy, server, hooked] = containers(&pod)? else { anyhow::bail!("not three containers") };
    ensure!(proxy.name == names::INJECTED_CONTAINER && proxy.image.as_deref() == Some("proxy:mine"));
    let port = &proxy.ports.as_ref().context("no ports")?[0];
    ensure!(port.name.as_deref() == Some("http") && port.container_port == i32::from(names::INJECTED_PORT));
    ensure!(proxy.resources.as_ref().is_some_and(|resources| resources.limits.is_some()));
    let variables = proxy.env.as_ref().context("no environment")?;
    ensure!(variables.iter().any(|one| one.name == "RUST_LOG" && one.value.as_deref() == Some("debug")));
    let place = format!("k8s.namespace.name={},k8s.pod.name=$(POD_NAME)", bench.namespace);
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_RESOURCE_ATTRIBUTES", &place),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
    ] {
        let found = variables.iter().find(|one| one.name == name).and_then(|one| one.value.as_deref());
        ensure!(found == Some(value), "{name}: {found:?}");
    }
    let arguments = proxy.args.as_ref().context("no arguments")?;
    let peers = format!("--peers=web-pool-peers.{}.svc:9091", bench.namespace);
    ensure!(
        arguments.contains(&peers) && arguments.contains(&"--shutdown-seconds=15".to_owned()),
        "{arguments:?}"
    );
    ensure!((pre_stop(proxy), pre_stop(server), pre_stop(hooked)) == (Some(5), Some(20), Some(1)));
    let token = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mounts = proxy.volume_mounts.as_ref().context("no mounts")?;
    let there = mounts.iter().find(|mount| mount.mount_path == token);
    ensure!(
        there.is_none_or(|mount| mount.name == "sessionpool-no-token"),
        "the proxy has a token: {mounts:?}"
    );

    let by_annotation = create(&bench, &json!({"annotations": {names::INJECT: "web"}})).await?;
    ensure!(containers(&by_annotation)?.len() == 3);
    let labels = by_annotation.metadata.labels.unwrap_or_default();
    ensure!(labels.get(names::POOL_LABEL).map(String::as_str) == Some("web"), "{labels:?}");

    let mut again = pod.clone();
    again.metadata =
        serde_json::from_value(json!({"generateName": "pod-", "labels": {names::INJECT: "web"}}))?;
    let again = bench.api::<Pod>().create(&PostParams::default(), &again).await?;
    ensure!(containers(&again)?.len() == 3, "a pod with a proxy gets no other");

    let untouched = create(&bench, &json!({"labels": {"app": "mine"}})).await?;
    ensure!(containers(&untouched)?.len() == 2 && pre_stop(&containers(&untouched)?[0]).is_none());
    Ok(())
}

/// Seconds until the proxy ends, that its requests then have, and until the server ends.
fn ending(pod: &Pod) -> Result<[Option<i64>; 3]> {
    let [proxy, server, ..] = containers(pod)? else { anyhow::bail!("not two containers") };
    let arguments = proxy.args.as_ref().context("no arguments")?;
    let drain = arguments.iter().find_map(|one| one.strip_prefix("--shutdown-seconds="));
    Ok([pre_stop(proxy), drain.and_then(|seconds| seconds.parse().ok()), pre_stop(server)])
}

#[tokio::test]
async fn a_proxys_end_and_its_servers_fit_into_any_grace_period() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&pool("web", &json!({"sidecar": {"port": 8080}}))).await?;
    let wanted = json!({"labels": {names::INJECT: "web"}});
    injected(&bench, &wanted).await?;
    for (grace, seconds) in [
        (0, [0, 0, 0]),
        (1, [0, 1, 1]),
        (5, [0, 4, 4]),
        (16, [2, 9, 11]),
        (30, [5, 15, 20]),
        (75, [5, 60, 65]),
        (3600, [5, 60, 65]),
    ] {
        let mut asking = pod(&wanted)?;
        let spec = asking.spec.as_mut().context("no spec")?;
        spec.termination_grace_period_seconds = Some(grace);
        spec.containers.truncate(1);
        let made = bench.api::<Pod>().create(&PostParams::default(), &asking).await;
        let made = made.with_context(|| format!("grace period {grace}"))?;
        ensure!(ending(&made)? == seconds.map(Some), "grace period {grace}: {:?}", ending(&made)?);
    }
    Ok(())
}

#[tokio::test]
async fn what_a_pod_says_of_its_containers_stays() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&pool("web", &json!({"sidecar": {"port": 8080}}))).await?;
    let wanted = json!({"labels": {names::INJECT: "web"}});
    let default = "kubectl.kubernetes.io/default-container";
    let shown = |pod: &Pod| pod.metadata.annotations.as_ref().and_then(|all| all.get(default)).cloned();
    ensure!(shown(&injected(&bench, &wanted).await?).as_deref() == Some("server"), "kubectl shows the proxy");
    let chosen = json!({"labels": {names::INJECT: "web"}, "annotations": {default: "own"}});
    ensure!(shown(&create(&bench, &chosen).await?).as_deref() == Some("own"));

    let mut asking = pod(&wanted)?;
    let started = json!({"postStart": {"sleep": {"seconds": 1}}});
    asking.spec.as_mut().context("no spec")?.containers[0].lifecycle = serde_json::from_value(started)?;
    let made = bench.api::<Pod>().create(&PostParams::default(), &asking).await?;
    let server = &containers(&made)?[1];
    ensure!(pre_stop(server) == Some(20), "a server with another hook ends before its proxy");
    ensure!(server.lifecycle.as_ref().is_some_and(|hooks| hooks.post_start.is_some()));
    Ok(())
}

#[tokio::test]
async fn a_pod_whose_pool_is_missing_is_refused_with_what_to_do() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&pool("far", &json!({"url": "http://mcp.example.com/mcp"}))).await?;
    for (metadata, name) in [
        (json!({"labels": {names::INJECT: "missing"}}), "missing"),
        (json!({"annotations": {names::INJECT: "missing"}}), "missing"),
        (json!({"labels": {names::INJECT: "far"}}), "far"),
        (json!({"labels": {names::INJECT: ""}}), ""),
    ] {
        // The policy is compiled a moment after it is there.
        let said = until("a refusal", async || match create(&bench, &metadata).await {
            Ok(_) => Ok(None),
            Err(error) => Ok(Some(format!("{error:#}"))),
        })
        .await?;
        let wanted = format!("asks for SessionPool \"{name}\", and namespace {} has none", bench.namespace);
        ensure!(said.contains(&wanted) && said.contains("upstream.sidecar"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_pool_for_sidecars_makes_no_pods_and_says_what_it_waits_for() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&pool("web", &json!({"url": "http://mcp.example.com/mcp"}))).await?;
    bench.children("web").await?;
    let sidecar = json!({"spec": {"upstream": {"url": null, "sidecar": {"port": 8080}}}});
    bench.patch("web", sidecar).await?;
    let ready = bench.condition("web", "Ready", "False", "NoInjectedPods").await?;
    ensure!(ready.message.contains("mcpgateway.io/inject: web"), "{}", ready.message);
    let deployments = bench.api::<k8s_openapi::api::apps::v1::Deployment>();
    let services = bench.api::<k8s_openapi::api::core::v1::Service>();
    until("the proxies and their Service to go", async || {
        let gone = deployments.get_opt(&names::deployment("web")).await?.is_none()
            && services.get_opt(&names::service("web")).await?.is_none();
        Ok(gone.then_some(()))
    })
    .await?;
    ensure!(services.get_opt(&names::peers_service("web")).await?.is_some());
    let status = bench.api::<SessionPool>().get("web").await?.status.context("no status")?;
    ensure!(status.url.is_none() && status.replicas == 0, "{status:?}");
    Ok(())
}
