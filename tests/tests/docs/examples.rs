//! The examples: the API server takes all of them, and this version does what they say, or they say that it does not.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use crds::support::{self, Unsupported};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::Value;
use tests::docs::pages;
use tests::{binary, repository};
use tokio::process::Command;

use crate::kubectl::Namespace;

/// Groups whose kinds are not there.
const FOREIGN: [&str; 3] = ["argoproj.io", "toolkit.fluxcd.io", "kustomize.config.k8s.io"];

struct Example {
    path: PathBuf,
    text: String,
    documents: Vec<Value>,
}

impl Example {
    fn is_foreign(&self) -> bool {
        let foreign = |document: &Value| {
            let version = document["apiVersion"].as_str().unwrap_or_default();
            FOREIGN.iter().any(|group| version.contains(group))
        };
        self.documents.iter().any(foreign)
    }

    fn refusals(&self) -> Result<Vec<Unsupported>> {
        let mut refusals = Vec::new();
        for document in self.documents.iter().filter(|document| document["kind"] == "SessionPool") {
            let pool = crds::manifest::parse(&document.to_string())
                .with_context(|| self.path.display().to_string())?;
            refusals.extend(support::unsupported(&pool.spec));
        }
        Ok(refusals)
    }
}

fn all() -> Result<Vec<Example>> {
    let read = |path: PathBuf| -> Result<Example> {
        let text = std::fs::read_to_string(repository().join(&path))?;
        let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
        let documents = documents.collect::<Result<_, _>>().with_context(|| path.display().to_string())?;
        Ok(Example { path, text, documents })
    };
    pages::files("examples", "yaml")?.into_iter().map(read).collect()
}

#[tokio::test]
async fn examples_are_taken() -> Result<()> {
    let namespace = Namespace::new("examples").await?;
    let examples: Vec<_> = all()?.into_iter().filter(|example| !example.is_foreign()).collect();
    ensure!(examples.len() >= 10, "only {} were found", examples.len());
    stream::iter(examples)
        .map(async |example| {
            namespace.takes(&example.text).await.with_context(|| example.path.display().to_string())
        })
        .buffer_unordered(4)
        .try_collect()
        .await
}

#[tokio::test]
async fn the_overlay_is_taken() -> Result<()> {
    let namespace = Namespace::new("overlay").await?;
    let text = namespace.kubectl(&["kustomize", "examples/gitops/production"], "").await?;
    let pool = crds::manifest::parse(&text)?;
    ensure!(pool.spec.pool_max_size == Some(20) && pool.spec.replicas == 3, "{text}");
    ensure!(!text.contains("desiredState") && !text.contains("resetToken"), "{text}");
    namespace.takes(&text).await
}

/// The comment at the top of an example says what this version refuses, in the words of the refusal.
#[test]
fn refusals_are_told_at_the_top() -> Result<()> {
    let mut told = 0;
    for example in all()? {
        let refusals = example.refusals()?;
        let comment: Vec<_> = example.text.lines().take_while(|line| line.starts_with('#')).collect();
        let comment = comment.join(" ");
        let path = example.path.display();
        let says = comment.contains("This version refuses it: Ready=False, reason NotSupported");
        ensure!(says != refusals.is_empty(), "{path}: it says {comment:?}, and is refused for {refusals:?}");
        ensure!(refusals.len() < 2, "{path}: {refusals:?}");
        for Unsupported { field, message } in refusals {
            told += 1;
            let start = message.split(':').next().unwrap_or(message);
            ensure!(comment.contains(&format!("\"{field}: {start}\"")), "{path}: {field}: {message}");
        }
    }
    ensure!(told == 3, "stdio, JWT and modern are refused, and {told} are");
    Ok(())
}

/// The proxy ends with the same refusal.
#[tokio::test]
async fn the_proxy_refuses_them_too() -> Result<()> {
    for example in all()? {
        let Some(refusal) = example.refusals()?.pop() else { continue };
        let output = Command::new(binary("sessionpool-proxy")?)
            .args(["--check", "--config"])
            .arg(repository().join(&example.path))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr);
        let refused =
            !output.status.success() && said.contains("NotSupported") && said.contains(refusal.field);
        ensure!(refused, "{}: {said}", example.path.display());
    }
    Ok(())
}
