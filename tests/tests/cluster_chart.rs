//! The chart, as a person uses it: Helm installs it, the example becomes ready, real clients call through the pool, and
//! an uninstall leaves nothing of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::ClusterRole;
use tests::{Cluster, eventually, repository};
use tokio::process::Command;

/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_secs(90);

/// What Kubernetes puts into each namespace.
const KUBERNETES_OWN: [&str; 2] = ["serviceaccount/default", "configmap/kube-root-ca.crt"];

/// Runs a command to its end and returns its standard output.
async fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed ({}): {}", output.status, errors.trim());
    Ok(String::from_utf8(output.stdout)?)
}

/// The folder that a script prints after it has installed or built something there.
async fn printed_by(script: &str, arguments: &[&str]) -> Result<PathBuf> {
    let text = run(Command::new(repository().join(script)).args(arguments)).await?;
    Ok(PathBuf::from(text.trim()))
}

async fn helm() -> Result<PathBuf> {
    Ok(printed_by("tests/cluster/tools.sh", &["helm"]).await?.join("helm"))
}

fn chart() -> PathBuf {
    repository().join("charts/sessionpool")
}

fn text(path: &str) -> Result<String> {
    let path = repository().join(path);
    fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
}

/// Helm and kubectl with a cluster's credentials, in one namespace.
struct Release<'a> {
    cluster: &'a Cluster,
    helm: PathBuf,
    kubectl: PathBuf,
    namespace: String,
}

impl<'a> Release<'a> {
    async fn new(cluster: &'a Cluster) -> Result<Self> {
        Ok(Self {
            cluster,
            helm: helm().await?,
            kubectl: printed_by("tests/cluster/tools.sh", &["kubectl"]).await?.join("kubectl"),
            namespace: cluster.namespace("chart").await?,
        })
    }

    async fn call(&self, program: &Path, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(self.cluster.kubeconfig());
        run(command.args(["--namespace", &self.namespace]).args(arguments)).await
    }

    async fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.call(&self.helm, arguments).await
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.call(&self.kubectl, arguments).await
    }
}

/// The value of each column of the only row of a table.
fn row(table: &str) -> Result<Vec<(String, String)>> {
    let lines: Vec<Vec<String>> =
        table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    ensure!(lines.len() == 2 && lines[0].len() == lines[1].len(), "not one row:\n{table}");
    Ok(lines[0].iter().cloned().zip(lines[1].iter().cloned()).collect())
}

fn column<'a>(row: &'a [(String, String)], name: &str) -> Result<&'a str> {
    let cell = row.iter().find(|(column, _)| column == name);
    Ok(&cell.with_context(|| format!("no column {name} in {row:?}"))?.1)
}

#[tokio::test]
async fn the_example_runs_on_what_the_chart_installs() -> Result<()> {
    let cluster = Cluster::start().await?;
    let release = Release::new(&cluster).await?;
    let chart = chart().display().to_string();
    let values = "image.tag=dev,proxyImage.tag=dev,crds.keep=false";
    release
        .helm(&["install", "sessionpool", &chart, "--set", values, "--wait", "--timeout", "90s"])
        .await
        .context("the images are built by `make images`")?;

    let example = repository().join("examples/everything.yaml").display().to_string();
    release.kubectl(&["apply", "-f", &example]).await?;
    if let Err(error) =
        release.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", "sessionpool/everything"]).await
    {
        let found = release.kubectl(&["describe", "sessionpool,pods"]).await?;
        return Err(error.context(found));
    }

    let url = release.kubectl(&["get", "spool", "everything", "-o", "jsonpath={.status.url}"]).await?;
    ensure!(url == format!("http://everything-pool.{}.svc.cluster.local:8080/mcp", release.namespace));
    let python = printed_by("tests/upstreams/pypi/install.sh", &[]).await?.join("bin/python");
    let client = repository().join("tests/demo/client.py").display().to_string();
    let said = cluster
        .run(&[&python.display().to_string(), &client, &url, "--clients", "20", "--calls", "200"])
        .await?;
    ensure!(said.contains("200 calls of 'echo' by 20 clients at once: 0 errors"), "the client said:\n{said}");

    eventually(PATIENCE, "the table to show the sessions", async || {
        let table = release.kubectl(&["get", "sessionpools"]).await?;
        let row = row(&table)?;
        let columns: Vec<&str> = row.iter().map(|(column, _)| column.as_str()).collect();
        let wanted = ["NAME", "STRATEGY", "PHASE", "READY", "ACTIVE", "TOTAL", "MAX", "REPLICAS", "AGE"];
        ensure!(columns == wanted, "{table}");
        ensure!(column(&row, "PHASE")? == "Active" && column(&row, "READY")? == "True", "{table}");
        ensure!(column(&row, "MAX")? == "5" && column(&row, "REPLICAS")? == "1", "{table}");
        ensure!((2..=5).contains(&column(&row, "TOTAL")?.parse::<u32>()?), "{table}");
        Ok(())
    })
    .await?;

    a_server_of_a_persons_own(&release, &python, &client).await?;

    // The garbage collector finds the owner of a pool's objects by its kind: the pool goes before its definition.
    release.kubectl(&["delete", "sessionpool", "everything"]).await?;
    eventually(PATIENCE, "the pools' objects to be gone", async || {
        let left = release.kubectl(&["get", "deployments,services,configmaps", "-o", "name"]).await?;
        ensure!(!left.contains("everything") && !left.contains("beside"), "still there: {left:?}");
        Ok(())
    })
    .await?;
    release.helm(&["uninstall", "sessionpool", "--wait"]).await?;
    eventually(PATIENCE, "everything of the release to be gone", async || {
        let left = release
            .kubectl(&["get", "deployments,services,configmaps,serviceaccounts", "-o", "name"])
            .await?;
        let left: Vec<_> =
            left.lines().filter(|name| !KUBERNETES_OWN.contains(name)).map(str::to_owned).collect();
        ensure!(left.is_empty(), "still there: {left:?}");
        let policies = "validatingadmissionpolicies,validatingadmissionpolicybindings,\
                        mutatingadmissionpolicies,mutatingadmissionpolicybindings";
        let kinds = format!("clusterroles,clusterrolebindings,customresourcedefinitions,{policies}");
        let everywhere = release.kubectl(&["get", &kinds, "-o", "name"]).await?;
        ensure!(!everywhere.contains("sessionpool"), "still there: {everywhere}");
        Ok(())
    })
    .await
}

/// The example of a pool for sidecars: its pods run the proxy that the chart names.
async fn a_server_of_a_persons_own(release: &Release<'_>, python: &Path, client: &str) -> Result<()> {
    let example = repository().join("examples/sidecar.yaml").display().to_string();
    release.kubectl(&["apply", "-f", &example]).await?;
    if let Err(error) =
        release.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", "sessionpool/beside"]).await
    {
        let found = release.kubectl(&["describe", "sessionpool,replicasets,pods"]).await?;
        return Err(error.context(found));
    }
    release.kubectl(&["rollout", "status", "deployment/server", "--timeout=90s"]).await?;
    let images = ["get", "pods", "-l", "app=server", "-o", "jsonpath={.items[*].spec.containers[0].image}"];
    let images = release.kubectl(&images).await?;
    let proxy = "docker.io/local/sessionpool-proxy:dev";
    ensure!(images.split(' ').eq([proxy, proxy]), "{images}");
    let url = format!("http://server.{}.svc.cluster.local/mcp", release.namespace);
    let python = python.display().to_string();
    let called = [python.as_str(), client, &url, "--clients", "5", "--calls", "50"];
    let said = release.cluster.run(&called).await?;
    ensure!(said.contains("50 calls of 'echo' by 5 clients at once: 0 errors"), "the client said:\n{said}");
    release.kubectl(&["delete", "-f", &example, "--wait=false"]).await?;
    Ok(())
}

#[test]
fn the_chart_holds_the_definition_and_the_rights() -> Result<()> {
    let files = "charts/sessionpool/files";
    let definition = ("crds/sessionpool.yaml".to_owned(), format!("{files}/sessionpool.yaml"));
    let mut pairs = vec![definition];
    for folder in ["roles", "policies"] {
        for entry in fs::read_dir(repository().join("operator").join(folder))? {
            let name = entry?.file_name().into_string().map_err(|name| anyhow::anyhow!("{name:?}"))?;
            pairs.push((format!("operator/{folder}/{name}"), format!("{files}/{folder}/{name}")));
        }
    }
    ensure!(pairs.len() == 10, "{pairs:?}");
    for (original, copy) in pairs {
        ensure!(text(&copy)? == text(&original)?, "{copy} is not {original}: run `make crds`");
    }
    Ok(())
}

async fn rendered(arguments: &[&str]) -> Result<String> {
    run(Command::new(helm().await?).args(["template", "release"]).arg(chart()).args(arguments)).await
}

fn of_kind(manifests: &str, kind: &str) -> Result<Vec<serde_json::Value>> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(manifests) {
        let object: serde_json::Value = serde::Deserialize::deserialize(document)?;
        if object["kind"] == kind {
            found.push(object);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn what_the_chart_renders_is_the_definition_and_the_rights() -> Result<()> {
    let manifests = rendered(&[]).await?;
    let definition: serde_json::Value = serde_yaml::from_str(&text("crds/sessionpool.yaml")?)?;
    let definitions = of_kind(&manifests, "CustomResourceDefinition")?;
    ensure!(definitions.len() == 1 && definitions[0]["spec"] == definition["spec"]);
    ensure!(definitions[0]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep");

    let rights = |path: &str| -> Result<serde_json::Value> {
        let role: ClusterRole = serde_yaml::from_str(&text(path)?)?;
        Ok(serde_json::to_value(&role.rules)?)
    };
    let roles = of_kind(&manifests, "ClusterRole")?;
    for (suffix, path) in [
        ("default", "operator/roles/operator.yaml"),
        ("view", "operator/roles/view.yaml"),
        ("edit", "operator/roles/edit.yaml"),
        ("admin", "operator/roles/admin.yaml"),
    ] {
        let ends = |role: &&serde_json::Value| {
            role["metadata"]["name"].as_str().is_some_and(|n| n.ends_with(suffix))
        };
        let role = roles.iter().find(ends).with_context(|| format!("no role {suffix}"))?;
        ensure!(role["rules"] == rights(path)?, "{role:#}");
    }
    ensure!(roles.len() == 4, "{roles:#?}");
    ensure!(of_kind(&manifests, "ClusterRoleBinding")?.len() == 1);
    let policies = of_kind(&manifests, "ValidatingAdmissionPolicy")?;
    let bindings = of_kind(&manifests, "ValidatingAdmissionPolicyBinding")?;
    ensure!(policies.len() == 2 && bindings.len() == 2);
    for (policy, binding) in policies.iter().zip(&bindings) {
        ensure!(binding["spec"]["policyName"] == policy["metadata"]["name"], "{binding:#}");
    }
    let without = rendered(&["--set", "permissions.roles=false,permissions.operate=false"]).await?;
    ensure!(of_kind(&without, "ClusterRole")?.len() == 1);
    ensure!(of_kind(&without, "ValidatingAdmissionPolicy")?.is_empty());
    Ok(())
}

#[tokio::test]
async fn pods_get_proxies_where_the_cluster_can_give_them() -> Result<()> {
    let policy = "MutatingAdmissionPolicy";
    ensure!(of_kind(&rendered(&[]).await?, policy)?.is_empty(), "an old cluster does not know the kind");
    let refused = rendered(&["--set", "injection=Enabled"]).await.err().context("it was taken")?;
    ensure!(format!("{refused:#}").contains("set it to Auto or Disabled"), "{refused:#}");
    let able = ["--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"];
    let disabled = rendered(&[&able[..], &["--set", "injection=Disabled"]].concat()).await?;
    ensure!(of_kind(&disabled, policy)?.is_empty() && !disabled.contains("-injected"));

    let values = "proxyImage.repository=registry/proxy,proxyImage.tag=v9,watchNamespaces={a}";
    let manifests = rendered(&[&able[..], &["--set", values]].concat()).await?;
    let policies = of_kind(&manifests, policy)?;
    ensure!(policies.len() == 1, "{policies:#?}");
    let text = policies[0].to_string();
    ensure!(text.contains("'registry/proxy:v9'") && !text.contains("-of-the-chart"), "{text}");
    let bindings = of_kind(&manifests, "MutatingAdmissionPolicyBinding")?;
    let spec = &bindings.first().context("no binding")?["spec"];
    ensure!(spec["policyName"] == policies[0]["metadata"]["name"], "{spec:#}");
    let only = &spec["matchResources"]["namespaceSelector"]["matchExpressions"][0];
    ensure!(only["values"] == serde_json::json!(["a"]), "{spec:#}");
    Ok(())
}

#[tokio::test]
async fn every_proxy_is_told_where_traces_go() -> Result<()> {
    let able = ["--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"];
    let silent = rendered(&able).await?;
    ensure!(!silent.contains("--tracing-endpoint") && !silent.contains("-of-the-chart"));
    let values = "tracing.endpoint=https://collector:4318,tracing.samplingRatio=0.25";
    let manifests = rendered(&[&able[..], &["--set", values]].concat()).await?;
    let deployments = of_kind(&manifests, "Deployment")?;
    let operator = deployments.first().context("no operator")?.to_string();
    for argument in ["--tracing-endpoint=https://collector:4318", "--tracing-sampling-ratio=0.25"] {
        ensure!(operator.contains(argument), "{operator}");
    }
    let policy = of_kind(&manifests, "MutatingAdmissionPolicy")?.first().context("no policy")?.to_string();
    ensure!(policy.contains("'https://collector:4318'") && policy.contains("'0.25'"), "{policy}");
    for wrong in ["tracing.endpoint=collector:4317", "tracing.samplingRatio=2"] {
        ensure!(rendered(&["--set", wrong]).await.is_err(), "{wrong} was taken");
    }
    Ok(())
}

#[tokio::test]
async fn named_namespaces_bound_the_rights() -> Result<()> {
    let manifests = rendered(&["--set", "watchNamespaces={a,b}"]).await?;
    ensure!(of_kind(&manifests, "ClusterRoleBinding")?.is_empty(), "rights in every namespace");
    let own = "crds.install=false,permissions.roles=false,permissions.operate=false";
    let least = rendered(&["--set", "watchNamespaces={a,b}", "--set", own]).await?;
    ensure!(of_kind(&least, "ClusterRole")?.is_empty(), "a namespace's admin can't install it: {least}");
    let role: ClusterRole = serde_yaml::from_str(&text("operator/roles/operator.yaml")?)?;
    let roles = of_kind(&least, "Role")?;
    let rights = serde_json::to_value(&role.rules)?;
    let named = |role: &&serde_json::Value| role["rules"] == rights;
    ensure!(roles.iter().filter(named).count() == 2 && roles.len() == 3, "{roles:#?}");
    let bindings = of_kind(&manifests, "RoleBinding")?;
    let namespaces: Vec<_> = bindings.iter().map(|binding| &binding["metadata"]["namespace"]).collect();
    ensure!(namespaces == ["default", "a", "b"], "{namespaces:?}");
    let container = &of_kind(&manifests, "Deployment")?[0]["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].to_string();
    ensure!(
        arguments.contains("--watch-namespace=a") && arguments.contains("--watch-namespace=b"),
        "{arguments}"
    );
    Ok(())
}

#[tokio::test]
async fn defaults_become_variables_as_they_were_written() -> Result<()> {
    let values = "poolDefaults.minSize=0,poolDefaults.recycleSeconds=2592000,poolDefaults.prePing=false";
    let manifests = rendered(&["--set", values]).await?;
    let container = &of_kind(&manifests, "Deployment")?[0]["spec"]["template"]["spec"]["containers"][0];
    let value = |name: &str| {
        let variables = container["env"].as_array().into_iter().flatten();
        variables.filter(|variable| variable["name"] == name).map(|variable| variable["value"].clone()).next()
    };
    for (name, wanted) in
        [("POOL_MIN_SIZE", "0"), ("POOL_RECYCLE_SECONDS", "2592000"), ("POOL_PRE_PING", "false")]
    {
        ensure!(value(name).is_some_and(|value| value == wanted), "{name} is {:?}", value(name));
    }
    Ok(())
}

#[tokio::test]
async fn monitors_select_every_proxy_and_the_operator() -> Result<()> {
    let enabled = ["--set", "serviceMonitor.enabled=true"];
    let refusal = rendered(&enabled).await.err().context("rendered without the monitors' definitions")?;
    ensure!(format!("{refusal:#}").contains("monitoring.coreos.com/v1"), "{refusal:#}");
    let manifests = rendered(&[enabled[0], enabled[1], "--api-versions", "monitoring.coreos.com/v1"]).await?;
    let monitors = of_kind(&manifests, "ServiceMonitor")?;
    ensure!(monitors.len() == 2, "{monitors:#?}");
    let proxies = monitors.iter().find(|monitor| {
        monitor["spec"]["selector"]["matchLabels"][crds::names::SCRAPE_LABEL] == "true"
            && monitor["spec"]["namespaceSelector"]["any"] == true
            && monitor["spec"]["endpoints"][0]["port"] == crds::names::ADMIN_PORT_NAME
    });
    ensure!(proxies.is_some(), "none selects the proxies: {monitors:#?}");
    let service = of_kind(&manifests, "Service")?[0]["metadata"]["labels"].clone();
    let operator = monitors.iter().find(|monitor| {
        let labels = monitor["spec"]["selector"]["matchLabels"].as_object();
        labels.is_some_and(|labels| labels.iter().all(|(name, value)| service[name] == *value))
    });
    ensure!(operator.is_some(), "none selects the operator's Service: {monitors:#?}");
    Ok(())
}

#[tokio::test]
async fn a_value_that_does_not_exist_is_refused() -> Result<()> {
    for value in
        ["poolDefault.minSize=1", "poolDefaults.minsize=1", "poolDefaults.timeout=0", "logFormat=xml"]
    {
        let refusal = rendered(&["--set", value]).await.err().with_context(|| format!("took {value}"))?;
        ensure!(format!("{refusal:#}").contains("schema"), "{value}: {refusal:#}");
    }
    Ok(())
}
