//! Real MCP servers as processes of a test's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::binary::{binary, repository};
use crate::eventually::eventually;
use crate::free_address;
use crate::mcp_client::Endpoint;

/// Python on a busy machine takes its time.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it answers, at `/mcp`.
    pub address: SocketAddr,
    command: Vec<String>,
    child: Child,
}

impl Upstream {
    /// The MCP project's server-everything, for Node.js.
    pub async fn everything() -> Result<Self> {
        let (node, modules) = node().await?;
        let script = modules.join("@modelcontextprotocol/server-everything/dist/index.js");
        Self::start(vec![node, script.to_string_lossy().into_owned(), "streamableHttp".to_owned()]).await
    }

    /// `tests/upstreams/python/server.py`, on the Python package `mcp`.
    pub async fn python() -> Result<Self> {
        let script = repository().join("tests/upstreams/python/server.py");
        Self::start(vec![python().await?, script.to_string_lossy().into_owned()]).await
    }

    /// `tests/upstreams/python/traced_server.py`, which writes its spans to a file.
    pub async fn traced(spans: &Path) -> Result<Self> {
        let script = repository().join("tests/upstreams/python/traced_server.py");
        let texts = [&script, spans].map(|path| path.to_string_lossy().into_owned());
        Self::start([python().await?].into_iter().chain(texts).collect()).await
    }

    /// `tests/upstreams/python/fastmcp_server.py`, on the Python package `fastmcp`.
    pub async fn fastmcp() -> Result<Self> {
        let script = repository().join("tests/upstreams/python/fastmcp_server.py");
        Self::start(vec![python().await?, script.to_string_lossy().into_owned()]).await
    }

    /// `tests/upstreams/typescript/server.mjs`, on the TypeScript SDK.
    pub async fn typescript() -> Result<Self> {
        let (node, modules) = node().await?;
        let script = repository().join("tests/upstreams/typescript/server.mjs");
        let texts = [script, modules].map(|path| path.to_string_lossy().into_owned());
        Self::start([node].into_iter().chain(texts).collect()).await
    }

    /// `tests/src/bin/rmcp_server.rs`, on the crate `rmcp`.
    pub async fn rmcp() -> Result<Self> {
        Self::start(vec![binary("rmcp_server")?.to_string_lossy().into_owned()]).await
    }

    /// The URL that a pool names.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Its process, unless it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it at once and starts it again at the same address.
    pub async fn restart(&mut self) -> Result<()> {
        self.child.kill().await?;
        self.child = spawn(&self.command, self.address)?;
        self.wait_until_it_answers().await
    }

    async fn start(command: Vec<String>) -> Result<Self> {
        let address = free_address()?;
        let child = spawn(&command, address)?;
        let mut upstream = Self { address, command, child };
        upstream.wait_until_it_answers().await?;
        Ok(upstream)
    }

    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let (address, child) = (self.address, &mut self.child);
        eventually(START_TIMEOUT, "the MCP server to answer", async || {
            ensure!(child.try_wait()?.is_none(), "it ended");
            // Anything but a refused connection will do: this isn't a session.
            Endpoint::new(address).send("GET", "/mcp", &[("accept", "text/event-stream")], "").await?;
            Ok(())
        })
        .await
    }
}

fn spawn(command: &[String], address: SocketAddr) -> Result<Child> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    Command::new(program)
        .args(arguments)
        .env("PORT", address.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("can't start {program}"))
}

/// Node.js, and the folder of the installed packages.
pub async fn node() -> Result<(String, PathBuf)> {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = FOLDER.get_or_try_init(|| install("npm")).await?;
    let node = folder.join("node_modules/node/bin/node").to_string_lossy().into_owned();
    Ok((node, folder.join("node_modules")))
}

/// Python with the locked packages.
pub async fn python() -> Result<String> {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = FOLDER.get_or_try_init(|| install("pypi")).await?;
    Ok(folder.join("bin/python").to_string_lossy().into_owned())
}

async fn install(family: &str) -> Result<PathBuf> {
    installed(Command::new(repository().join("tests/upstreams").join(family).join("install.sh"))).await
}

/// The folder that an install script prints.
pub(crate) async fn installed(mut script: Command) -> Result<PathBuf> {
    let output =
        script.stderr(Stdio::inherit()).output().await.with_context(|| format!("can't run {script:?}"))?;
    ensure!(output.status.success(), "{script:?} failed");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
