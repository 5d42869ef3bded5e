//! A control plane comes up, survives the loss of a part, and leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;
use tests::kubernetes::Kubernetes;
use tests::traces::{Traces, part};
use tests::{ControlPlane, eventually, repository};

const READY: Duration = Duration::from_secs(60);
const GONE: Duration = Duration::from_secs(20);

fn script(name: &str) -> PathBuf {
    repository().join("tests/cluster").join(name)
}

async fn nothing_left(traces: &Traces) -> Result<()> {
    eventually(GONE, "everything to be gone", async || {
        let left = traces.left();
        ensure!(left.is_empty(), "still there: {left:#?}");
        Ok(())
    })
    .await
}

async fn marked(kubernetes: &Kubernetes) -> Result<Api<ConfigMap>> {
    let mark = "{apiVersion: v1, kind: ConfigMap, metadata: {name: mark}, data: {key: value}}";
    kubernetes.apply_yaml(mark).await?;
    Ok(Api::default_namespaced(kubernetes.client()?))
}

async fn still_marked(api: &Api<ConfigMap>) -> Result<()> {
    let data = api.get("mark").await?.data.unwrap_or_default();
    ensure!(data.get("key").map(String::as_str) == Some("value"), "the mark holds {data:?}");
    Ok(())
}

#[tokio::test]
async fn serves_and_leaves_nothing() -> Result<()> {
    let cluster = ControlPlane::start().await?;
    let traces = Traces::of(cluster.state(), cluster.supervisor_pid())?;
    ensure!(traces.processes() >= 5, "supervisor and four parts, found {}", traces.processes());
    still_marked(&marked(&cluster).await?).await?;
    let namespace = cluster.namespace("lifecycle").await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client()?, &namespace);
    eventually(READY, "the controller manager to act", async || Ok(accounts.get("default").await?)).await?;
    drop(cluster);
    nothing_left(&traces).await
}

#[tokio::test]
async fn a_user_without_rights_is_refused() -> Result<()> {
    let cluster = ControlPlane::shared().await?;
    let api: Api<ConfigMap> =
        Api::default_namespaced(cluster.client_as("somebody", &["system:authenticated"])?);
    let refusal = api.get("mark").await.err().context("a user without a role reads a ConfigMap")?;
    ensure!(
        matches!(&refusal, kube::Error::Api(status) if status.code == 403),
        "expected 403, got {refusal}"
    );
    Ok(())
}

#[tokio::test]
async fn a_killed_part_comes_back_with_its_data() -> Result<()> {
    let cluster = ControlPlane::start().await?;
    let api = marked(&cluster).await?;
    for name in ["kube-controller-manager", "kube-apiserver", "etcd"] {
        let killed = part(cluster.state(), name)?;
        killed.kill()?;
        eventually(READY, &format!("{name} to be started again"), async || {
            let now = part(cluster.state(), name)?;
            ensure!(now != killed && now.runs(), "the recorded process is {now:?}");
            still_marked(&api).await
        })
        .await?;
    }
    let traces = Traces::of(cluster.state(), cluster.supervisor_pid())?;
    drop(cluster);
    nothing_left(&traces).await
}

#[tokio::test]
async fn a_killed_supervisor_takes_everything_with_it() -> Result<()> {
    let cluster = ControlPlane::start().await?;
    let traces = Traces::of(cluster.state(), cluster.supervisor_pid())?;
    let supervisor =
        tests::traces::Process::running(cluster.supervisor_pid()).context("the supervisor runs")?;
    supervisor.kill()?;
    eventually(GONE, "every process to end", async || {
        let running = traces.running();
        ensure!(running.is_empty(), "{running:#?}");
        Ok(())
    })
    .await?;
    drop(cluster);
    nothing_left(&traces).await
}

#[tokio::test]
async fn it_ends_when_the_process_that_owns_it_is_gone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("cluster");
    let mut supervisor = Command::new(script("supervise.sh"))
        .arg(&state)
        .args(["control-plane", "--until-eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    ready(&state).await?;
    let traces = Traces::of(&state, supervisor.id())?;
    // The end of a process closes its end of the pipe, however it ends.
    drop(supervisor.stdin.take());
    eventually(GONE, "the supervisor to end by itself", async || {
        supervisor.try_wait()?.context("it still runs")
    })
    .await?;
    ensure!(traces.left().is_empty(), "left behind: {:#?}", traces.left());
    Ok(())
}

async fn ready(state: &Path) -> Result<()> {
    eventually(READY, "the cluster to be ready", async || {
        ensure!(state.join("ready").exists(), "no {}/ready", state.display());
        Ok(())
    })
    .await
}

fn run(script_name: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(script(script_name)).args(arguments).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script_name} failed: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

fn supervisor_of(state: &Path) -> Result<u32> {
    let text = std::fs::read_to_string(state.join("supervisor"))?;
    Ok(text.split_whitespace().next().context("a process id")?.parse()?)
}

#[tokio::test]
async fn up_and_down_by_script() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("cluster");
    let name = state.to_str().context("a path in UTF-8")?;
    let first = run("up.sh", &[name, "control-plane"])?;
    let expected = format!("KUBECONFIG={name}/kubeconfig");
    ensure!(first.lines().any(|line| line == expected), "up.sh printed {first}");
    let second = run("up.sh", &[name, "control-plane"])?;
    ensure!(second.contains("up already"), "the second up.sh printed {second}");
    let traces = Traces::of(&state, supervisor_of(&state)?)?;
    let nodes = run("shell.sh", &[name, "kubectl", "get", "--raw", "/readyz"])?;
    ensure!(nodes == "ok", "kubectl printed {nodes}");
    run("down.sh", &[name])?;
    ensure!(traces.left().is_empty(), "left behind: {:#?}", traces.left());
    let again = run("down.sh", &[name])?;
    ensure!(again.contains("is not up"), "the second down.sh printed {again}");
    Ok(())
}

#[tokio::test]
async fn up_that_is_killed_midway_leaves_nothing_after_down() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("cluster");
    let name = state.to_str().context("a path in UTF-8")?;
    let mut up = Command::new(script("up.sh")).args([name, "control-plane"]).stdout(Stdio::null()).spawn()?;
    eventually(READY, "etcd to be started", async || part(&state, "etcd")).await?;
    up.kill()?;
    up.wait()?;
    let traces = Traces::of(&state, supervisor_of(&state)?)?;
    ensure!(traces.processes() >= 2, "supervisor and etcd, found {}", traces.processes());
    run("down.sh", &[name])?;
    ensure!(traces.left().is_empty(), "left behind: {:#?}", traces.left());
    Ok(())
}

#[tokio::test]
async fn two_side_by_side_know_nothing_of_each_other() -> Result<()> {
    let (one, other) = tokio::try_join!(ControlPlane::start(), ControlPlane::start())?;
    let api = marked(&one).await?;
    let foreign: Api<ConfigMap> = Api::default_namespaced(other.client()?);
    ensure!(foreign.get_opt("mark").await?.is_none(), "one cluster sees the other's objects");
    drop(other);
    still_marked(&api).await
}
