//! The operator's process under the role that it has in production.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::bench::until;

/// A running operator. It is killed when it is dropped.
pub struct Operator {
    child: Child,
    lines: Arc<AtomicUsize>,
    /// Where /livez, /readyz and /metrics are.
    pub admin: String,
    /// Where REST is.
    pub api: String,
}

/// A command of the operator's binary with nothing of the test's environment but what it needs.
pub fn command(kubeconfig: &Path) -> Result<Command> {
    let mut command = Command::new(tests::binary("sessionpool-operator")?);
    command
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("RUST_LOG", "info,operator=debug")
        .args(["--proxy-image=proxy.test/proxy:1", "--log-format=json"])
        .args(["--admin-listen=127.0.0.1:0", "--api-listen=127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

impl Operator {
    /// Starts the operator for one namespace, or for all, and waits until it has listed the pools.
    pub async fn start(kubeconfig: &Path, namespace: Option<&str>, env: &[(&str, &str)]) -> Result<Self> {
        let operator = Self::launch(kubeconfig, namespace, env).await?;
        until("the operator is ready", async || {
            let (status, _) = operator.get("/readyz").await?;
            Ok((status == 200).then_some(()))
        })
        .await?;
        Ok(operator)
    }

    /// Starts it and waits until its admin address answers.
    pub async fn launch(kubeconfig: &Path, namespace: Option<&str>, env: &[(&str, &str)]) -> Result<Self> {
        let mut command = command(kubeconfig)?;
        if let Some(namespace) = namespace {
            command.arg(format!("--watch-namespace={namespace}"));
        }
        let mut child = command.envs(env.iter().copied()).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("no stderr")?).lines();
        let mut seen = Vec::new();
        let (admin, api) = loop {
            let Some(line) = lines.next_line().await? else {
                bail!("the operator ended with {}:\n{}", child.wait().await?, seen.join("\n"))
            };
            let entry: serde_json::Value =
                serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))?;
            if entry["message"] == "listening" {
                let address = |name: &str| Some(entry[name].as_str()?.to_owned());
                break (
                    address("admin").context("no admin address")?,
                    address("api").context("no REST address")?,
                );
            }
            seen.push(line);
        };
        // The log is shown with a failing test's output.
        let counted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&counted);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                count.fetch_add(1, Ordering::Relaxed);
                println!("operator: {line}");
            }
        });
        Ok(Self { child, lines: counted, admin, api })
    }

    /// How many lines it has logged since its admin address answers.
    pub fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }

    /// Asks the admin address.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        self.request("GET", path, "").await
    }

    /// Asks the admin address for anything.
    pub async fn request(&self, method: &str, path: &str, body: &'static str) -> Result<(u16, String)> {
        let url = format!("http://{}{path}", self.admin);
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http::<http_body_util::Full<bytes::Bytes>>();
        let request = hyper::Request::builder().method(method).uri(url).body(body.into())?;
        let response = client.request(request).await?;
        let status = response.status().as_u16();
        let body = http_body_util::BodyExt::collect(response.into_body()).await?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec())?))
    }

    /// How many requests the API server has forbidden.
    pub async fn forbidden(&self) -> Result<f64> {
        let (_, text) = self.get("/metrics").await?;
        let forbidden = |line: &&str| {
            line.starts_with("sessionpool_operator_kube_requests_total{") && line.contains("code=\"403\"")
        };
        text.lines()
            .filter(forbidden)
            .map(|line| Ok(line.rsplit_once(' ').context("no value")?.1.parse::<f64>()?))
            .sum()
    }

    /// The value of a series in /metrics; 0 when it is not there.
    pub async fn metric(&self, series: &str) -> Result<f64> {
        let (_, text) = self.get("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?.unwrap_or(0.0))
    }

    /// Waits until that many reconciles have ended since the call.
    pub async fn reconciles(&self, more: f64) -> Result<()> {
        let series = "sessionpool_operator_reconcile_total{result=\"ok\"}";
        let before = self.metric(series).await?;
        until("more reconciles", async || Ok((self.metric(series).await? >= before + more).then_some(())))
            .await
    }

    /// Sends SIGTERM and gives the exit status with the time that it took.
    pub async fn terminate(mut self) -> Result<(ExitStatus, Duration)> {
        let pid = self.child.id().context("it ended already")?;
        let start = std::time::Instant::now();
        let sent = Command::new("kill").arg(pid.to_string()).status().await?;
        anyhow::ensure!(sent.success(), "kill {pid} failed");
        let status = self.child.wait().await?;
        Ok((status, start.elapsed()))
    }
}
