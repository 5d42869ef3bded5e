//! The real proxy as a process of a test's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use crds::wire::{PoolStats, SessionInfo};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::binary::binary;
use crate::eventually::eventually;
use crate::mcp_client::Endpoint;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy; ended when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients are served.
    pub mcp: SocketAddr,
    /// Where `/readyz` and the like are served.
    pub admin: SocketAddr,
    setup: Setup,
    child: Child,
    log: Log,
}

/// What a proxy is started with.
#[derive(Debug)]
pub struct Setup {
    folder: TempDir,
    admin: SocketAddr,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

/// The end of a process, and what it wrote.
#[derive(Debug)]
pub struct Exit {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard error.
    pub log: String,
}

type Log = Arc<Mutex<Vec<String>>>;

/// A manifest of a pool named `test`: `spec` over `poolEnabled: true`, `isolation: Shared` and the given server.
pub fn manifest(url: &str, spec: &Value) -> Value {
    let mut whole = json!({"poolEnabled": true, "isolation": "Shared", "upstream": {"url": url}});
    if let (Some(whole), Some(spec)) = (whole.as_object_mut(), spec.as_object()) {
        whole.extend(spec.clone());
    }
    json!({
        "apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool",
        "metadata": {"name": "test"}, "spec": whole
    })
}

impl Setup {
    /// A configuration file with this text.
    pub fn new(text: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sessionpool-proxy-").tempdir()?;
        std::fs::write(folder.path().join("pool.yaml"), text)?;
        let admin = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self { folder, admin, arguments: Vec::new(), variables: Vec::new() })
    }

    /// Adds arguments; `{folder}` stands for the test's own folder.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        let folder = self.folder.path().to_string_lossy().into_owned();
        self.arguments.extend(arguments.iter().map(|argument| argument.replace("{folder}", &folder)));
        self
    }

    /// Has it serve its admin port there, in place of a free one.
    #[must_use]
    pub fn admin_at(mut self, admin: SocketAddr) -> Self {
        self.admin = admin;
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("pool.yaml")
    }

    /// Starts it and waits until it listens.
    pub async fn start(self) -> Result<Proxy> {
        let (child, log) = self.spawn()?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut proxy = Proxy { mcp: unknown, admin: unknown, setup: self, child, log };
        proxy.find_addresses().await?;
        Ok(proxy)
    }

    /// Runs it to its end, which must come by itself.
    pub async fn run(&self) -> Result<Exit> {
        let (mut child, log) = self.spawn()?;
        exit(&mut child, &log).await
    }

    fn spawn(&self) -> Result<(Child, Log)> {
        let mut child = Command::new(binary("sessionpool-proxy")?)
            .arg("--config")
            .arg(self.config())
            .args(["--listen=127.0.0.1:0", "--log-format=json"])
            .arg(format!("--admin-listen={}", self.admin))
            .args(&self.arguments)
            .env("RUST_LOG", "info")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let errors = child.stderr.take().context("no standard error")?;
        let log = Log::default();
        let lines = Arc::clone(&log);
        tokio::spawn(async move {
            let mut reader = BufReader::new(errors).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                lines.lock().push(line);
            }
        });
        Ok((child, log))
    }
}

impl Proxy {
    /// Starts one for the server at `url`, with `spec` as in [`manifest`].
    pub async fn start(url: &str, spec: &Value) -> Result<Self> {
        Setup::new(&manifest(url, spec).to_string())?.start().await
    }

    /// Starts one and waits until clients may come.
    pub async fn ready(url: &str, spec: &Value) -> Result<Self> {
        let proxy = Self::start(url, spec).await?;
        proxy.wait_until_ready().await?;
        Ok(proxy)
    }

    /// Waits for `/readyz`.
    pub async fn wait_until_ready(&self) -> Result<()> {
        eventually(PATIENCE, "the proxy to be ready", async || {
            let (status, text) = self.admin("/readyz").await?;
            ensure!(status == 200, "{status} {text}\n{}", self.log());
            Ok(())
        })
        .await
    }

    /// Status and body of a page of the admin port.
    pub async fn admin(&self, path: &str) -> Result<(u16, String)> {
        Endpoint::new(self.admin).send("GET", path, &[], "").await?.status_and_text().await
    }

    /// The value of a metric that has no label but the pool's; none where it is not there.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>> {
        let (_, text) = self.admin("/metrics").await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix("{server_id=")?.split_once("} "));
        Ok(value.map(|(_, value)| value.parse()).transpose()?)
    }

    /// The pool's statistics.
    pub async fn stats(&self) -> Result<PoolStats> {
        Ok(serde_json::from_str(&self.admin("/pool/stats").await?.1)?)
    }

    /// The pool's sessions.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>> {
        let (status, text) = self.admin("/pool/sessions").await?;
        ensure!(status == 200, "/pool/sessions: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits for statistics that `check` accepts.
    pub async fn stats_when(&self, what: &str, check: impl Fn(&PoolStats) -> bool) -> Result<PoolStats> {
        eventually(PATIENCE, what, async || {
            let stats = self.stats().await?;
            ensure!(check(&stats), "{stats:?}");
            Ok(stats)
        })
        .await
    }

    /// Everything that it wrote so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.setup.config()
    }

    /// The test's own folder.
    pub fn folder(&self) -> &Path {
        self.setup.folder.path()
    }

    /// Puts another text into the configuration file, in one step.
    pub fn write_config(&self, text: &str) -> Result<()> {
        let new = self.folder().join("pool.yaml.new");
        std::fs::write(&new, text)?;
        std::fs::rename(new, self.config())?;
        Ok(())
    }

    /// Its process, unless it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal, by name without `SIG`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let id = self.child.id().context("the proxy has ended")?;
        let status =
            std::process::Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status()?;
        ensure!(status.success(), "kill -{name} {id} failed");
        Ok(())
    }

    /// Whether the process runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn terminate(mut self) -> Result<Exit> {
        self.signal("TERM")?;
        exit(&mut self.child, &self.log).await
    }

    /// Ends it with SIGKILL and starts it again with the same files, on ports of its own.
    pub async fn killed_and_restarted(mut self) -> Result<Self> {
        self.child.kill().await?;
        self.setup.start().await
    }

    async fn find_addresses(&mut self) -> Result<()> {
        let (child, log) = (&mut self.child, &self.log);
        (self.mcp, self.admin) = eventually(PATIENCE, "the proxy to listen", async || {
            ensure!(child.try_wait()?.is_none(), "it ended: {}", text(log));
            addresses(log).with_context(|| text(log))
        })
        .await?;
        Ok(())
    }
}

fn addresses(log: &Log) -> Option<(SocketAddr, SocketAddr)> {
    let lines = log.lock();
    let line = lines.iter().find(|line| line.contains("\"listening\""))?;
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line[name].as_str()?.parse().ok();
    Some((address("mcp")?, address("admin")?))
}

fn text(log: &Log) -> String {
    log.lock().join("\n")
}

async fn exit(child: &mut Child, log: &Log) -> Result<Exit> {
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.context("the proxy does not end")??;
    let mut length = None;
    // The last lines may still be on their way from the pipe.
    eventually(Duration::from_secs(5), "the end of the log", async || {
        let now = Some(text(log).len());
        let settled = now == length;
        length = now;
        ensure!(settled, "it still grows");
        Ok(())
    })
    .await?;
    Ok(Exit { code: status.code(), log: text(log) })
}
