//! What people are told who may not, or reach nothing.

use anyhow::{Result, ensure};

use super::{POOL, administrator, person};
use crate::bench::{Bench, shared};

#[tokio::test]
async fn the_missing_permission_is_named() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let namespace = &bench.namespace;
    let shell = administrator(&bench).await?;
    let nobody = shell.run(&["status", "web", "--as", "nobody"]).await?.failed(4)?;
    let missing = format!("the verb get on sessionpools.mcpgateway.io in namespace {namespace}");
    ensure!(nobody.contains("\"nobody\"") && nobody.contains(&missing), "{nobody}");
    let group = shell.run(&["status", "--as", "x", "--as-group", "system:masters"]).await?;
    ensure!(group.code == Some(0), "{group:?}");

    let viewer = person(&bench, "view").await?;
    let change = viewer.run(&["config", "set", "web", "poolMaxSize=9"]).await?.failed(4)?;
    ensure!(change.contains("the verb patch on sessionpools.mcpgateway.io"), "{change}");
    let all = viewer.kubectl(&["sessionpool", "status", "-A"]).await?.failed(4)?;
    ensure!(all.contains("the verb list on sessionpools.mcpgateway.io in all namespaces"), "{all}");
    // What is elsewhere is none of a viewer's business.
    let wrong = viewer.run(&["status", "wbe"]).await?.failed(3)?;
    ensure!(wrong.contains("did you mean web?"), "{wrong}");
    Ok(())
}

/// The policy of the operations decides by the person's rights, not by the plugin's.
#[tokio::test]
async fn whoever_edits_may_set_sizes_and_not_drain() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let editor = person(&bench, "edit").await?;
    editor.run(&["config", "set", "web", "poolMaxSize=9"]).await?.ok()?;
    for words in [&["drain", "web"][..], &["reset", "web"], &["config", "set", "web", "poolEnabled=false"]] {
        let refused = editor.run(words).await?.failed(4)?;
        ensure!(refused.contains("update on sessionpools/operate"), "{words:?}: {refused}");
    }
    let pool = bench.pool("web").await?;
    ensure!(pool.spec.pool_max_size == Some(9) && pool.spec.reset_token.is_none());
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_told() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let shell = administrator(&bench).await?;
    let context = shell.run(&["status", "--context", "moon"]).await?.failed(2)?;
    ensure!(context.contains("moon") && context.contains("its contexts:"), "{context}");
    let folder = tempfile::tempdir()?;
    let missing = folder.path().join("missing").display().to_string();
    let file = shell.run(&["status", "--kubeconfig", &missing]).await?.failed(2)?;
    ensure!(file.contains("the kubeconfig can't be read"), "{file}");
    let none = shell.command(&["sessionpool", "status"]).env("KUBECONFIG", &missing).output().await?;
    let none = tests::plugin::Said::from(none).failed(6)?;
    ensure!(none.contains("there is no kubeconfig"), "{none}");

    let text = std::fs::read_to_string(shared().await?.kubeconfig())?;
    let mut dead: serde_yaml::Value = serde_yaml::from_str(&text)?;
    let address = tests::free_address()?;
    dead["clusters"][0]["cluster"]["server"] = format!("https://{address}").into();
    let path = folder.path().join("dead");
    std::fs::write(&path, serde_yaml::to_string(&dead)?)?;
    let dead = shell.run(&["status", "--kubeconfig", &path.display().to_string()]).await?.failed(6)?;
    ensure!(dead.contains("the cluster does not answer") && dead.contains("refused"), "{dead}");
    Ok(())
}
