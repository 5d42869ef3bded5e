//! Completion: by kubectl itself, and by a real shell.

use std::path::Path;

use anyhow::{Result, ensure};
use tests::{
    plugin::{COMPLETION, Said},
    repository,
};

use super::{POOL, administrator};
use crate::bench::Bench;

#[tokio::test]
async fn kubectl_completes_commands_and_names() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    bench.apply(&POOL.replace("name: web", "name: files")).await?;
    let shell = administrator(&bench).await?;
    let completed = async |words: &[&str]| {
        let said = shell.kubectl(&[&["__complete", "sessionpool"], words].concat()).await?.ok()?;
        anyhow::Ok(said.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let begins =
        |lines: &[String], text: &str| lines.iter().any(|line| line.split('\t').next() == Some(text));
    let commands = completed(&["d"]).await?;
    ensure!(begins(&commands, "drain") && commands.last().is_some_and(|line| line == ":4"), "{commands:?}");
    let names = completed(&["status", "-n", &bench.namespace, ""]).await?;
    ensure!(begins(&names, "web") && begins(&names, "files") && names.len() == 3, "{names:?}");
    let names = completed(&["drain", "-n", &bench.namespace, "w"]).await?;
    ensure!(begins(&names, "web") && !begins(&names, "files"), "{names:?}");
    let fields = completed(&["config", "set", "web", "poolM"]).await?;
    ensure!(begins(&fields, "poolMaxSize=") && fields.last().is_some_and(|line| line == ":6"), "{fields:?}");
    let values = completed(&["config", "set", "web", "poolStrategy="]).await?;
    ensure!(begins(&values, "poolStrategy=LeastConnections"), "{values:?}");
    let script = shell.run(&["completion", "kubectl"]).await?.ok()?;
    let installed = repository().join("operator/plugin/completion").join(COMPLETION);
    ensure!(script == std::fs::read_to_string(installed)?, "{script}");
    let flags = completed(&["drain", "--wait-"]).await?;
    ensure!(begins(&flags, "--wait-timeout"), "{flags:?}");
    Ok(())
}

#[tokio::test]
async fn bash_completes_with_the_script() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let shell = administrator(&bench).await?;
    let script = format!(
        "source <(kubectl-sessionpool completion bash)
         COMP_WORDS=(kubectl-sessionpool status -n {} w) COMP_CWORD=4 COMP_TYPE=9
         _clap_complete_kubectl_sessionpool kubectl-sessionpool w -n
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        bench.namespace
    );
    let said =
        Said::from(shell.program(Path::new("/bin/bash")).args(["-c", &script]).output().await?).ok()?;
    ensure!(said.trim() == "web", "{said:?}");
    for other in ["zsh", "fish", "powershell", "elvish"] {
        let script = shell.run(&["completion", other]).await?.ok()?;
        ensure!(
            script.contains("kubectl-sessionpool") && script.contains("SESSIONPOOL_COMPLETE"),
            "{script}"
        );
    }
    Ok(())
}
