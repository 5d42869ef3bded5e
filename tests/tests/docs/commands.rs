//! The commands of the pages, run as a reader runs them: those of a page in one shell, in their order.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use tempfile::TempDir;
use tests::docs::{blocks, pages};
use tests::free_address;
use tests::operator::Operator;
use tests::upstream::Upstream;
use tests::{ControlPlane, binary, eventually, repository};
use tokio::process::Command;

use crate::kubectl::{self, Namespace};

/// Longest run of one page's commands; the kubelet alone may take two minutes for a Secret.
const PATIENCE: Duration = Duration::from_secs(300);

/// What ends a shell's children with it, and shows which command failed.
const PRELUDE: &str = "set -euo pipefail\ntrap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT\n\
                       trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n";

/// The commands of each page that are run in one of these ways, of pages that have one of the first.
pub fn scripts(words: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut scripts = BTreeMap::new();
    for page in pages::all()?.iter().filter(|page| page.is_checked()) {
        let all = blocks::of(page);
        if words.first().is_some_and(|first| all.iter().any(|block| block.is("sh", first))) {
            let these = all.iter().filter(|block| words.iter().any(|word| block.is("sh", word)));
            let script = these.map(|block| block.text.as_str()).collect();
            scripts.insert(page.path.display().to_string(), script);
        }
    }
    Ok(scripts)
}

/// A folder that looks like the repository to commands, and may be written to.
fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("sessionpool-docs-").tempdir()?;
    for name in ["charts", "crds"] {
        symlink(repository().join(name), folder.path().join(name))?;
    }
    copy(&repository().join("examples"), &folder.path().join("examples"))?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Runs a script to its end.
pub async fn run(page: &str, script: &str, mut shell: Command) -> Result<String> {
    shell.arg("-c").arg(format!("{PRELUDE}{script}")).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, shell.output()).await;
    let output = output.with_context(|| format!("{page}: the commands do not end"))??;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{page}: {}\n{said}", output.status);
    Ok(said)
}

fn shell(folder: &Path, tools: &Path) -> Command {
    let mut shell = Command::new("bash");
    let path = std::env::var("PATH").unwrap_or_default();
    shell.current_dir(folder).env("PATH", format!("{}:{path}", tools.display()));
    shell
}

/// Waits until the controller manager has put the roles of the project into Kubernetes' own.
async fn until_admins_may_operate(plane: &ControlPlane) -> Result<()> {
    let cluster: Api<ClusterRole> = Api::all(plane.client()?);
    eventually(PATIENCE, "the role admin to have the project's rules", async || {
        let rules = cluster.get("admin").await?.rules.unwrap_or_default();
        let resources = || rules.iter().flat_map(|rule| rule.resources.iter().flatten());
        let has = |name: &str| resources().any(|resource| resource == name);
        ensure!(has("sessionpools") && has("sessionpools/operate"), "not yet");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn commands_for_a_control_plane_run() -> Result<()> {
    let scripts = scripts(&["control-plane"])?;
    ensure!(scripts.len() >= 10, "only {:?} have some", scripts.keys());
    let plane = kubectl::plane().await?;
    let operator = Operator::on(plane).await?;
    until_admins_may_operate(plane).await?;
    stream::iter(scripts)
        .map(async |(page, script)| {
            let namespace = Namespace::new("commands").await?;
            for example in ["everything", "service", "sticky", "url", "weighted"] {
                namespace.kubectl(&["apply", "-f", &format!("examples/{example}.yaml")], "").await?;
            }
            let folder = folder()?;
            fs::create_dir(folder.path().join("bin"))?;
            symlink(binary("kubectl-sessionpool")?, folder.path().join("bin/kubectl-sessionpool"))?;
            symlink(namespace.tools().join("kubectl"), folder.path().join("bin/kubectl"))?;
            let mut shell = shell(folder.path(), &folder.path().join("bin"));
            shell.env("KUBECONFIG", &namespace.kubeconfig);
            // The pages name the namespace that a reader's context has, and a port that was forwarded.
            let script = script.replace("namespace=default", &format!("namespace={}", namespace.name));
            let script = script.replace("localhost:8000", &operator.api.to_string());
            run(&page, &script, shell).await
        })
        .buffer_unordered(3)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}

/// A proxy that listens at addresses of the test's own, whoever starts it.
fn proxy(folder: &Path, mcp: &str, admin: &str) -> Result<()> {
    let program = folder.join("bin/sessionpool-proxy");
    fs::create_dir_all(folder.join("bin"))?;
    let listen = format!("--listen={mcp} --admin-listen={admin}");
    let real = binary("sessionpool-proxy")?;
    fs::write(&program, format!("#!/bin/sh\nexec timeout 120 {} {listen} \"$@\"\n", real.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[tokio::test]
async fn commands_for_a_proxy_alone_run() -> Result<()> {
    let scripts = scripts(&["standalone"])?;
    ensure!(scripts.len() >= 2, "only {:?} have some", scripts.keys());
    let server = Upstream::everything().await?;
    stream::iter(scripts)
        .map(async |(page, script)| {
            let [mcp, admin] = [free_address()?.to_string(), free_address()?.to_string()];
            let own = |text: &str| {
                text.replace("127.0.0.1:3001", &server.address.to_string())
                    .replace("127.0.0.1:8080", &mcp)
                    .replace("127.0.0.1:9090", &admin)
            };
            let folder = folder()?;
            let example = folder.path().join("examples/standalone.yaml");
            fs::write(&example, own(&fs::read_to_string(&example)?))?;
            proxy(folder.path(), &mcp, &admin)?;
            let starts = script.lines().any(|line| line.starts_with("sessionpool-proxy") && line.ends_with('&'));
            let start = if starts {
                String::new()
            } else {
                let ready = "curl -fsS --retry 20 --retry-connrefused --retry-all-errors --retry-delay 1 http://127.0.0.1:9090/readyz";
                format!("sessionpool-proxy --config examples/standalone.yaml &\n{ready}\n")
            };
            run(&page, &own(&format!("{start}{script}")), shell(folder.path(), &folder.path().join("bin"))).await
        })
        .buffer_unordered(3)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}
