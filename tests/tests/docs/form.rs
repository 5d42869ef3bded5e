//! Every block says how it is run or read.

use anyhow::{Result, ensure};
use tests::docs::blocks::{self, Block};
use tests::docs::pages;
use tokio::process::Command;

use crate::kubectl::tool;

/// Languages, and the words that may follow each.
const KNOWN: [(&str, &[&str]); 7] = [
    ("sh", &["control-plane", "standalone", "node", "by-hand"]),
    ("yaml", &["", "values", "prometheus", "foreign"]),
    ("json", &[""]),
    ("promql", &[""]),
    ("http", &[""]),
    ("mermaid", &[""]),
    ("text", &[""]),
];

/// The blocks of all pages that are checked.
pub fn all() -> Result<Vec<Block>> {
    let pages = pages::all()?;
    Ok(pages.iter().filter(|page| page.is_checked()).flat_map(blocks::of).collect())
}

#[test]
fn every_block_says_how_it_is_run() -> Result<()> {
    for block in all()? {
        let known = KNOWN.iter().any(|(language, words)| words.iter().any(|word| block.is(language, word)));
        ensure!(known && block.words.len() < 2, "{}: {:?} {:?}", block.place, block.language, block.words);
    }
    Ok(())
}

#[test]
fn json_is_json() -> Result<()> {
    for block in all()?.iter().filter(|block| block.language == "json") {
        let read = serde_json::from_str::<serde_json::Value>(&block.text);
        ensure!(read.is_ok(), "{}: {read:?}", block.place);
    }
    Ok(())
}

#[tokio::test]
async fn configurations_of_prometheus_are_taken() -> Result<()> {
    let blocks: Vec<Block> = all()?.into_iter().filter(|block| block.is("yaml", "prometheus")).collect();
    ensure!(!blocks.is_empty(), "there are none");
    let folder = tempfile::tempdir()?;
    for block in blocks {
        let path = folder.path().join("prometheus.yaml");
        std::fs::write(&path, &block.text)?;
        let output = Command::new(tool("promtool").await?.join("promtool"))
            .args(["check", "config"])
            .arg(&path)
            .output()
            .await?;
        ensure!(output.status.success(), "{}: {}", block.place, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Prometheus reads each query as part of a rule.
#[tokio::test]
async fn queries_are_promql() -> Result<()> {
    let queries: Vec<Block> = all()?.into_iter().filter(|block| block.language == "promql").collect();
    ensure!(!queries.is_empty(), "there are none");
    let rules: Vec<_> = queries
        .iter()
        .enumerate()
        .map(|(at, query)| serde_json::json!({"record": format!("docs:query{at}"), "expr": query.text}))
        .collect();
    let file = serde_json::json!({"groups": [{"name": "docs", "rules": rules}]});
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, file.to_string())?;
    let output = Command::new(tool("promtool").await?.join("promtool"))
        .args(["check", "rules"])
        .arg(&path)
        .output()
        .await?;
    let places: Vec<_> = queries.iter().map(|query| &query.place).collect();
    ensure!(output.status.success(), "{places:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
