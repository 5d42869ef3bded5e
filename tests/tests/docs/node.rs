//! The commands that need pods. They are run by hand, on a cluster whose nodes have the images of `make images`:
//! `make cluster-up CLUSTER=docs`, then `SESSIONPOOL_TEST_CLUSTER=docs cargo test -p tests --test docs -- --ignored`.

use anyhow::{Result, ensure};
use tests::{Cluster, binary, repository};

use crate::commands::{run, scripts};
use crate::kubectl::tool;

/// The page whose commands install the chart.
const FIRST: &str = "docs/quick-start.md";

/// The pool that the other pages begin with.
const POOL: &str = "kubectl delete sessionpool everything --ignore-not-found --wait
kubectl wait --for=delete pod -l mcpgateway.io/pool=everything --timeout=120s
kubectl apply -f examples/everything.yaml
kubectl wait --for=condition=Ready --timeout=120s sessionpool/everything
";

/// The page whose commands remove the chart again.
const LAST: &str = "docs/how-to/upgrade.md";

#[tokio::test]
#[ignore = "needs a cluster with a node, which it changes"]
async fn commands_for_a_node_run() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let (kubectl, helm) = (tool("kubectl").await?, tool("helm").await?);
    let plugin = binary("kubectl-sessionpool")?;
    let plugin = plugin.parent().unwrap_or(repository());
    let mut scripts = scripts(&["node", "control-plane"])?;
    let (first, last) = (scripts.remove_entry(FIRST), scripts.remove_entry(LAST));
    ensure!(first.is_some() && last.is_some(), "{FIRST} or {LAST} has no commands");
    for (page, script) in first.into_iter().chain(scripts).chain(last) {
        let mut shell = cluster.enter("bash");
        let path = std::env::var("PATH").unwrap_or_default();
        let folders =
            [kubectl.as_path(), helm.as_path(), plugin].map(|folder| folder.display().to_string()).join(":");
        shell.env("PATH", format!("{folders}:{path}")).current_dir(repository());
        let pool = if page == FIRST { "" } else { POOL };
        println!("== {page}\n{}", run(&page, &format!("{pool}{script}"), shell).await?);
    }
    Ok(())
}
