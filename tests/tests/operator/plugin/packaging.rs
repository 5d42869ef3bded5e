//! The archive and the manifest for krew, by krew itself.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_yaml::Value;
use tests::{binary, plugin::Shell, repository};
use tokio::process::Command;

use crate::bench::shared;

async fn printed(command: &mut Command) -> Result<String> {
    let output = command.output().await?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn krew_installs_what_is_packaged() -> Result<()> {
    let tools = printed(Command::new(repository().join("tests/cluster/tools.sh")).arg("krew")).await?;
    let krew = PathBuf::from(tools.trim()).join("krew");
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let program = binary("kubectl-sessionpool")?;
    let machine = std::env::consts::ARCH;
    let target = format!("{machine}-unknown-linux-gnu={}", program.display());
    let mut package = Command::new(repository().join("operator/plugin/krew/package.sh"));
    package.arg(&out).arg(target).env("PLUGIN_URL", "https://example.com/a&b");
    let said = printed(&mut package).await?;
    let files: Vec<&str> = said.lines().collect();
    ensure!(files.len() == 2 && files[1].ends_with("/sessionpool.yaml"), "{said}");
    let (archive, manifest) = (files[0], files[1]);

    let text = std::fs::read_to_string(manifest)?;
    let parsed: Value = serde_yaml::from_str(&text)?;
    let spec = &parsed["spec"];
    ensure!(
        parsed["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2" && parsed["kind"] == "Plugin"
    );
    ensure!(parsed["metadata"]["name"] == "sessionpool", "{text}");
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    ensure!(spec["version"] == version.as_str() && spec["homepage"] == "https://example.com/a&b", "{text}");
    let platforms = spec["platforms"].as_sequence().context("no platforms")?;
    ensure!(platforms.len() == 1, "{text}");
    let sum = printed(Command::new("sha256sum").arg(archive)).await?;
    ensure!(platforms[0]["sha256"].as_str() == sum.split_whitespace().next(), "{text}\n{sum}");
    let uri = platforms[0]["uri"].as_str().context("no uri")?;
    ensure!(archive.ends_with(uri.strip_prefix("https://example.com/a&b").context("another uri")?), "{uri}");
    let listed = printed(Command::new("tar").args(["-tzf", archive])).await?;
    for name in ["./kubectl-sessionpool", "./kubectl_complete-sessionpool", "./LICENSE"] {
        ensure!(listed.lines().any(|line| line == name), "no {name} in {listed}");
    }

    // It reads the manifest, checks the sum, and puts the program into a folder for PATH.
    let root = folder.path().join("krew");
    let install = async |manifest: &str| {
        let mut install = Command::new(&krew);
        install.args(["install", "--manifest", manifest, "--archive", archive]);
        install.env("KREW_ROOT", &root).env("KREW_NO_UPGRADE_CHECK", "1");
        printed(&mut install).await
    };
    let other = folder.path().join("sessionpool.yaml");
    let digest = sum.split_whitespace().next().unwrap_or_default();
    std::fs::write(&other, text.replace(digest, &"0".repeat(64)))?;
    ensure!(install(&other.display().to_string()).await.is_err(), "another sum was taken");
    install(manifest).await?;
    let shell = Shell::new(shared().await?.kubeconfig(), "default").await?;
    let installed = root.join("bin/kubectl-sessionpool");
    let mut own = shell.program(&installed);
    ensure!(printed(own.args(["version", "--client"])).await?.contains(env!("CARGO_PKG_VERSION")));
    Ok(())
}
