//! The operator's Deployment.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::helm::{MUTATING, rendered};

#[tokio::test]
async fn images_have_a_tag_or_a_digest() -> Result<()> {
    let image = async |values: &str| -> Result<[String; 2]> {
        let objects = rendered(&["--set", values]).await?;
        let container = objects.container()?;
        let proxy = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let proxy = proxy.filter_map(|argument| argument.strip_prefix("--proxy-image=")).collect();
        Ok([container["image"].as_str().context("no image")?.to_owned(), proxy])
    };
    let own = |name, tag: &str| format!("docker.io/local/sessionpool-{name}{tag}");
    let version = concat!(":", env!("CARGO_PKG_VERSION"));
    ensure!(image("replicas=1").await? == [own("operator", version), own("proxy", version)]);
    let tags = "image.tag=dev,proxyImage.repository=other/proxy,proxyImage.tag=edge";
    ensure!(image(tags).await? == [own("operator", ":dev"), "other/proxy:edge".to_owned()]);
    let digest = format!("sha256:{}", "0a".repeat(32));
    let digests = format!("image.digest={digest},image.tag=dev,proxyImage.digest={digest}");
    let by_digest = format!("@{digest}");
    ensure!(image(&digests).await? == [own("operator", &by_digest), own("proxy", &by_digest)]);
    Ok(())
}

#[tokio::test]
async fn defaults_become_variables_as_they_were_written() -> Result<()> {
    let values = "poolDefaults.minSize=0,poolDefaults.recycleSeconds=2592000,poolDefaults.prePing=false";
    let objects = rendered(&["--set", values]).await?;
    for (name, wanted) in
        [("POOL_MIN_SIZE", "0"), ("POOL_RECYCLE_SECONDS", "2592000"), ("POOL_PRE_PING", "false")]
    {
        let value = variable(objects.container()?, name);
        ensure!(value == wanted, "{name} is {value}");
    }
    let objects = rendered(&["--set", "poolDefaults.timeout=null"]).await?;
    ensure!(variable(objects.container()?, "POOL_TIMEOUT").is_null(), "it is the operator's own default");
    Ok(())
}

fn variable(container: &Value, name: &str) -> Value {
    let variables = container["env"].as_array().into_iter().flatten();
    let mut found = variables.filter(|variable| variable["name"] == name);
    found.next().map(|variable| variable["value"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn proxies_are_told_where_traces_go() -> Result<()> {
    let usual = rendered(&[]).await?.container()?["args"].to_string();
    ensure!(!usual.contains("tracing"), "{usual}");
    let values = "tracing.endpoint=http://collector:4318,tracing.samplingRatio=0.25";
    let objects = rendered(&[&MUTATING[..], &["--set", values]].concat()).await?;
    let told = objects.container()?["args"].to_string();
    ensure!(told.contains("--tracing-endpoint=http://collector:4318\""), "{told}");
    ensure!(told.contains("--tracing-sampling-ratio=0.25\""), "{told}");
    let injected = objects.only("MutatingAdmissionPolicy")?.to_string();
    ensure!(injected.contains("http://collector:4318") && injected.contains("0.25"), "{injected}");
    ensure!(!injected.contains("of-the-chart"), "{injected}");
    Ok(())
}

#[tokio::test]
async fn one_of_several_operators_is_chosen() -> Result<()> {
    let arguments = async |values: &str| -> Result<String> {
        Ok(rendered(&["--set", values]).await?.container()?["args"].to_string())
    };
    let usual = arguments("replicas=2").await?;
    ensure!(usual.contains("--lease-name=release-sessionpool-operator\""), "{usual}");
    let named = arguments("leaderElection.leaseName=mine").await?;
    ensure!(named.contains("--lease-name=mine\""), "{named}");
    let alone = rendered(&["--set", "leaderElection.enabled=false"]).await?;
    ensure!(!alone.container()?["args"].to_string().contains("--lease-name"));
    ensure!(alone.only("Deployment")?["spec"]["strategy"]["type"] == "Recreate", "two would act at once");
    ensure!(alone.of_kind("Role").is_empty(), "there is no lease to hold");
    Ok(())
}

/// Every value that ends in the pod, in one.
const POD: &str = r"
podLabels: {tier: control}
podAnnotations: {note: written}
commonAnnotations: {owner: o}
imagePullSecrets: [pull]
priorityClassName: system-cluster-critical
nodeSelector: {disk: ssd}
tolerations: [{key: k, operator: Exists}]
affinity: {nodeAffinity: {}}
topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}
  - {maxSkew: 1, topologyKey: node, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {own: selector}}}
extraVolumes: [{name: certificates, secret: {secretName: s}}]
extraVolumeMounts: [{name: certificates, mountPath: /certificates}]
extraArgs: [--further=1]
extraEnv: [{name: HTTPS_PROXY, value: http://proxy}]
logFormat: text
logFilter: debug
resources: {limits: {memory: 1Gi}}
podSecurityContext: {fsGroup: 7}
securityContext: {privileged: false}
";

#[tokio::test]
async fn the_pod_is_as_its_owner_wants_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values.yaml");
    std::fs::write(&values, POD)?;
    let objects = rendered(&["--values", &values.display().to_string()]).await?;
    let (pod, container) = (objects.pod()?, objects.container()?);
    ensure!(pod["metadata"]["labels"]["tier"] == "control", "{pod:#}");
    ensure!(pod["metadata"]["annotations"] == json!({"note": "written", "owner": "o"}), "{pod:#}");
    let spec = &pod["spec"];
    for (field, wanted) in [
        ("imagePullSecrets", json!([{"name": "pull"}])),
        ("priorityClassName", json!("system-cluster-critical")),
        ("nodeSelector", json!({"disk": "ssd"})),
        ("tolerations", json!([{"key": "k", "operator": "Exists"}])),
        ("affinity", json!({"nodeAffinity": {}})),
        ("volumes", json!([{"name": "certificates", "secret": {"secretName": "s"}}])),
    ] {
        ensure!(spec[field] == wanted, "{field}: {:#}", spec[field]);
    }
    let spread = &spec["topologySpreadConstraints"];
    let selector = &objects.only("Deployment")?["spec"]["selector"];
    ensure!(spread[0]["labelSelector"] == *selector, "{spread:#}");
    ensure!(spread[1]["labelSelector"] == json!({"matchLabels": {"own": "selector"}}), "{spread:#}");
    ensure!(spec["securityContext"]["fsGroup"] == 7 && container["securityContext"]["privileged"] == false);
    ensure!(container["volumeMounts"] == json!([{"name": "certificates", "mountPath": "/certificates"}]));
    let arguments = container["args"].to_string();
    ensure!(
        arguments.contains("--log-format=text") && arguments.ends_with("\"--further=1\"]"),
        "{arguments}"
    );
    ensure!(
        variable(container, "HTTPS_PROXY") == "http://proxy" && variable(container, "RUST_LOG") == "debug"
    );
    ensure!(container["resources"]["limits"]["memory"] == "1Gi");
    Ok(())
}

#[tokio::test]
async fn the_pod_is_restricted_by_default() -> Result<()> {
    let objects = rendered(&[]).await?;
    let (pod, container) = (&objects.pod()?["spec"], objects.container()?);
    ensure!(pod["securityContext"]["runAsNonRoot"] == true);
    ensure!(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault");
    let security = &container["securityContext"];
    ensure!(security["allowPrivilegeEscalation"] == false && security["readOnlyRootFilesystem"] == true);
    ensure!(security["capabilities"]["drop"] == json!(["ALL"]), "{security:#}");
    Ok(())
}

#[tokio::test]
async fn names_are_the_releases_or_its_owners() -> Result<()> {
    for (values, wanted) in [
        ("replicas=1", "release-sessionpool-operator"),
        ("nameOverride=pools", "release-pools-operator"),
        ("fullnameOverride=exactly", "exactly"),
    ] {
        let objects = rendered(&["--set", values]).await?;
        ensure!(objects.only("Deployment")?["metadata"]["name"] == wanted, "{values}");
        ensure!(
            objects.only("Deployment")?["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
                == "sessionpool-operator"
        );
    }
    Ok(())
}
