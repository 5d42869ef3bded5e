//! The kubectl plugin with proxies that run: live numbers, logs, operations under calls, and the check of an installation.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{
    plugin::{Said, Shell},
    repository,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{field::Field, mcp::Session};

const UNREACHABLE: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: lost}
spec:
  poolEnabled: true
  isolation: Shared
  upstream: {url: 'http://nobody.invalid/mcp'}
";

/// Somebody who sees pools and pods and may ask proxies by one way only.
async fn grant(field: &Field, user: &str, resource: &str) -> Result<()> {
    let rules = json!([
        {"apiGroups": ["mcpgateway.io"], "resources": ["sessionpools"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": [resource], "verbs": ["get", "create"]}
    ]);
    let kind = "rbac.authorization.k8s.io/v1";
    let role = json!({"apiVersion": kind, "kind": "Role", "metadata": {"name": user}, "rules": rules});
    let binding = json!({
        "apiVersion": kind, "kind": "RoleBinding", "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
    });
    field.apply_any(&role.to_string()).await?;
    field.apply_any(&binding.to_string()).await
}

async fn guard(field: &Field) -> Result<()> {
    for policy in ["operate", "scale"] {
        let file = repository().join(format!("operator/policies/{policy}.yaml"));
        field.apply_any(&std::fs::read_to_string(file)?).await?;
        let name = format!("sessionpool-{policy}");
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}
        });
        field.apply_any(&binding.to_string()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_plugin_shows_and_steers_a_pool_that_runs() -> Result<()> {
    let field = Field::start().await?;
    field.apply(&std::fs::read_to_string(repository().join("examples/everything.yaml"))?).await?;
    guard(&field).await?;
    field.condition("everything", "Ready", "True").await?;
    let shell = Shell::new(field.cluster().kubeconfig(), &field.namespace).await?;
    let session = Session::open(&field, "everything").await?;
    session.echo("one").await?;
    numbers(&field, &shell, &session).await?;
    by_either_way(&field, &shell).await?;
    logs(&shell).await?;
    operations(&field, &shell, &session).await?;
    check(&field, &shell).await
}

async fn numbers(field: &Field, shell: &Shell, session: &Session) -> Result<()> {
    let page = shell.run(&["status", "everything"]).await?.ok()?;
    for text in
        ["Active", "live, of 1 of 1 proxy", "image docker.io/local/server-everything:dev", "active", "node"]
    {
        ensure!(page.contains(text), "no {text:?} in:\n{page}");
    }
    let stats = shell.run(&["stats", "everything", "-o", "json"]).await?.json()?;
    let live = field.stats("everything").await?;
    ensure!(stats["source"] == "proxies" && stats["total_creates"] == live.total_creates, "{stats:#}");
    ensure!(stats["replicas"].as_array().is_some_and(|all| all.len() == 1), "{stats:#}");

    let sessions = shell.run(&["sessions", "everything", "-o", "json"]).await?.json()?;
    let sessions = sessions["sessions"].as_array().context("no sessions")?;
    ensure!(sessions.len() >= 2 && sessions.iter().all(|one| one["replica"].is_string()), "{sessions:#?}");
    let table = shell.run(&["sessions", "everything"]).await?.ok()?;
    ensure!(table.starts_with("PROXY") && table.lines().count() > sessions.len(), "{table}");

    let words = ["stats", "everything", "--watch", "--interval=500ms", "--count=4", "-o", "json"];
    let calls = async {
        for _ in 0..10 {
            session.echo("again").await?;
        }
        anyhow::Ok(())
    };
    let (watched, ()) = tokio::try_join!(shell.run(&words), calls)?;
    let lines: Vec<Value> = watched.ok()?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let rate = |line: &Value| line["rates"]["acquisitions"].as_f64().unwrap_or_default();
    ensure!(lines.len() == 4 && lines.iter().any(|line| rate(line) > 0.0), "{lines:#?}");

    let advice = shell.run(&["optimize", "everything", "-o", "json"]).await?.json()?;
    ensure!(advice["source"] == "proxies" && advice["current"]["poolMaxSize"] == 5, "{advice:#}");
    ensure!(advice["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{advice:#}");
    Ok(())
}

/// The API server's proxy or a forwarded port: either permission is enough.
async fn by_either_way(field: &Field, shell: &Shell) -> Result<()> {
    for (user, resource) in [("proxier", "pods/proxy"), ("forwarder", "pods/portforward")] {
        grant(field, user, resource).await?;
        field
            .until("the permission to be known", async || {
                let said = shell.run(&["stats", "everything", "-o", "json", "--as", user]).await?;
                let stats: Value = serde_json::from_str(&said.out).with_context(|| format!("{said:?}"))?;
                ensure!(stats["source"] == "proxies", "{said:?}");
                Ok(())
            })
            .await?;
    }
    grant(field, "watcher", "pods/status").await?;
    let said = field
        .until("the permission to be known", async || {
            shell.run(&["stats", "everything", "--as", "watcher"]).await?.ok()?;
            shell.run(&["status", "everything", "--as", "watcher"]).await?.ok()
        })
        .await?;
    ensure!(said.contains("of the status") && said.contains("the verb get on pods/proxy"), "{said}");
    Ok(())
}

async fn logs(shell: &Shell) -> Result<()> {
    let once = shell.run(&["logs", "everything", "--tail=-1"]).await?.ok()?;
    ensure!(!once.is_empty() && once.lines().all(|line| line.starts_with("[everything-pool-")), "{once}");
    let server = shell.run(&["logs", "everything", "--server", "--tail=-1"]).await?.ok()?;
    ensure!(!server.is_empty() && server != once, "{server}");

    let mut follow = shell.start(&["logs", "everything", "--follow"]).spawn()?;
    let mut lines = BufReader::new(follow.stdout.take().context("no stdout")?).lines();
    let line = lines.next_line().await?.context("nothing was logged")?;
    ensure!(line.starts_with("[everything-pool-"), "{line}");
    let pid = follow.id().context("it ended")?.to_string();
    ensure!(Command::new("kill").args(["-INT", &pid]).status().await?.success());
    Said::from(follow.wait_with_output().await?).ok()?;
    Ok(())
}

async fn operations(field: &Field, shell: &Shell, session: &Session) -> Result<()> {
    let call = session.operation(5);
    let drain = async {
        field
            .until("the call runs", async || {
                ensure!(field.stats("everything").await?.active_leases == 1, "it does not");
                Ok(())
            })
            .await?;
        let words = ["drain", "everything", "--wait", "--timeout=60s"];
        Ok(Said::from(shell.start(&words).output().await?))
    };
    let (answer, drained) = tokio::try_join!(call, drain)?;
    ensure!(answer.contains("completed"), "the call was ended: {answer}");
    ensure!(drained.err.contains("draining: ") && drained.err.contains("remain"), "{drained:?}");
    let drained = drained.ok()?;
    ensure!(drained.contains("running calls get 60 s") && drained.contains("closed"), "{drained}");
    ensure!(field.stats("everything").await?.status == "drained");

    let resumed = shell.run(&["resume", "everything", "--wait"]).await?.ok()?;
    ensure!(resumed.contains("resumed: 1/1 proxies ready"), "{resumed}");
    session.echo("the client's session goes on").await?;
    let before = field.stats("everything").await?.epoch;
    let reset = shell.run(&["reset", "everything", "--wait"]).await?.ok()?;
    ensure!(reset.contains("replaced"), "{reset}");
    ensure!(field.stats("everything").await?.epoch == before + 1);
    session.echo("here, too").await?;
    Ok(())
}

async fn check(field: &Field, shell: &Shell) -> Result<()> {
    let words = ["check", "--operator-namespace", &field.namespace];
    let healthy =
        field.until("the installation to be healthy", async || shell.run(&words).await?.ok()).await?;
    for text in
        ["operator: 1/1 ready", "1 is ready", "sessionpools/operate", "they suffice for every command"]
    {
        ensure!(healthy.contains(text), "no {text:?} in:\n{healthy}");
    }
    ensure!(!healthy.contains("error") && !healthy.contains("warning"), "{healthy}");

    field.apply(UNREACHABLE).await?;
    field.condition("lost", "Degraded", "True").await?;
    field.kubectl(&["scale", "deployment/operator", "--replicas=0"]).await?;
    shell.run(&["config", "set", "everything", "poolMaxSize=7"]).await?.ok()?;
    let broken = shell.run(&words).await?;
    ensure!(broken.code == Some(7) && broken.err.contains("3 things are wrong"), "{broken:?}");
    for text in [
        "it is scaled to zero",
        "scale deployment/operator --replicas=1",
        "nobody acts on its newest specification",
        "UpstreamUnreachable",
        "see that the MCP server of the pool runs",
    ] {
        ensure!(broken.out.contains(text), "no {text:?} in:\n{}", broken.out);
    }
    Ok(())
}
