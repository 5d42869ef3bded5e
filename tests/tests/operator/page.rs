//! The Pool Health page in a real browser: the operator's real binary serves it, with real proxies in the pods' place.

mod hidden;
mod login;
mod looks;
mod many;
mod operations;
mod overview;
mod stage;
mod trouble;

use anyhow::{Result, ensure};

#[tokio::test]
async fn what_touches_no_document_works_alone() -> Result<()> {
    let (node, _) = tests::upstream::node().await?;
    let test = tests::repository().join("tests/browser/pure.test.mjs");
    let output = tokio::process::Command::new(node).arg("--test").arg(test).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
