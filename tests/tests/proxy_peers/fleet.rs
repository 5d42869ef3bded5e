//! Proxies that know each other, and clients that never speak to the same one twice in a row.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::eventually::eventually;
use tests::mcp_client::{Reply, Session, tool_call};
use tests::proxy::{Proxy, Setup, manifest};

/// The proxies of one pool.
pub struct Fleet {
    pub proxies: Vec<Proxy>,
    /// Where each serves the others.
    pub peers: Vec<SocketAddr>,
    folder: TempDir,
    manifest: String,
}

impl Fleet {
    /// As many as are asked for, with `spec` as in [`manifest`].
    pub async fn start(count: usize, url: &str, spec: &Value) -> Result<Self> {
        let mut manifest = manifest(url, spec);
        manifest["metadata"]["annotations"] = json!({"mcpgateway.io/many": "true"});
        let mut fleet = Self {
            proxies: Vec::new(),
            peers: (0..count).map(|_| own_address()).collect(),
            folder: tempfile::tempdir()?,
            manifest: manifest.to_string(),
        };
        for at in 0..count {
            let proxy = fleet.proxy(fleet.peers[at], &fleet.peers, "session.key").await?;
            fleet.proxies.push(proxy);
        }
        Ok(fleet)
    }

    /// One more, which knows `peers` and is served at `own`.
    pub async fn proxy(&self, own: SocketAddr, peers: &[SocketAddr], key: &str) -> Result<Proxy> {
        let proxy = self.launch(&self.manifest, own, peers, key).await?;
        proxy.wait_until_ready().await?;
        Ok(proxy)
    }

    /// One whose server is another, as beside a server of its own; it may take its time to get ready.
    pub async fn proxy_of(&self, url: &str, own: SocketAddr, peers: &[SocketAddr]) -> Result<Proxy> {
        let mut manifest: Value = serde_json::from_str(&self.manifest)?;
        manifest["spec"]["upstream"]["url"] = url.into();
        self.launch(&manifest.to_string(), own, peers, "session.key").await
    }

    async fn launch(
        &self,
        manifest: &str,
        own: SocketAddr,
        peers: &[SocketAddr],
        key: &str,
    ) -> Result<Proxy> {
        let peers = peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let key = self.folder.path().join(key);
        let arguments = [
            format!("--session-key-file={}", key.display()),
            format!("--peers={peers}"),
            format!("--peer-listen={own}"),
        ];
        Setup::new(manifest)?.arguments(&arguments.each_ref().map(String::as_str)).start().await
    }

    /// A client of `principal` whose session is made by one proxy; it can be asked and goes from proxy to proxy.
    pub async fn client(&self, home: usize, principal: &str) -> Result<Client> {
        let headers = [("authorization", principal)];
        let capabilities = json!({"sampling": {}});
        let session = Session::open_with(self.proxies[home].mcp, &headers, &capabilities).await?;
        Ok(self.roaming(&session, home))
    }

    /// A session that goes from proxy to proxy, first to the one after `home`.
    pub fn roaming(&self, session: &Session, home: usize) -> Client {
        let sessions = self.proxies.iter().map(|proxy| session.moved_to(proxy.mcp)).collect();
        Client { sessions, turn: Arc::new(AtomicUsize::new(home + 1)) }
    }

    /// Ends one with SIGKILL.
    pub async fn kill(&mut self, at: usize) -> Result<()> {
        self.proxies[at].signal("KILL")?;
        let proxy = &mut self.proxies[at];
        eventually(Duration::from_secs(10), "the end of a killed proxy", async || {
            ensure!(!proxy.is_alive()?, "it runs");
            Ok(())
        })
        .await
    }

    /// Waits until a proxy knows that another is about to end.
    pub async fn is_left(&self, at: usize) -> Result<()> {
        let proxy = &self.proxies[at];
        eventually(Duration::from_secs(10), "a goodbye", async || {
            ensure!(proxy.log().contains("about to end: its client sessions"), "none");
            Ok(())
        })
        .await
    }

    /// How many messages a proxy has forwarded, by outcome.
    pub async fn forwarded(&self, at: usize, outcome: &str) -> Result<u64> {
        let (_, text) = self.proxies[at].admin("/metrics").await?;
        let outcome = format!("outcome=\"{outcome}\"");
        let mut lines = text.lines().filter(|line| line.starts_with("sessionpool_peer_forwarded_total"));
        let line = lines.find(|line| line.contains(&outcome)).with_context(|| text.clone())?;
        Ok(line.rsplit(' ').next().context("no value")?.parse()?)
    }
}

/// An address that stays free until it is used, and again after that: each run of the suite has an IP address of its own, so
/// that no connection gets its ports.
pub fn own_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(9091);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 64 | high, middle, low);
    SocketAddr::from((ip, PORT.fetch_add(1, Ordering::Relaxed)))
}

/// A client session at every proxy.
#[derive(Clone)]
pub struct Client {
    sessions: Vec<Session>,
    turn: Arc<AtomicUsize>,
}

impl Client {
    /// The session at the next proxy.
    pub fn next(&self) -> &Session {
        &self.sessions[self.turn.fetch_add(1, Ordering::Relaxed) % self.sessions.len()]
    }

    /// The session at one proxy.
    pub fn at(&self, proxy: usize) -> &Session {
        &self.sessions[proxy]
    }

    /// The same client without the proxy that is gone.
    pub fn without(mut self, proxy: usize) -> Self {
        self.sessions.remove(proxy);
        self
    }

    /// How many proxies it knows.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// A tool's text, asked at the next proxy.
    pub async fn tool(&self, name: &str, arguments: &Value) -> Result<String> {
        self.next().tool(name, arguments).await
    }

    /// Calls a tool with this id and, as progress token, the same at the next proxy; the reply's body is unread.
    pub async fn call(&self, id: u32, tool: &str, arguments: &Value) -> Result<Reply> {
        let mut call: Value = serde_json::from_str(&tool_call(&id.to_string(), tool, arguments))?;
        call["params"]["_meta"] = json!({"progressToken": id});
        let reply = self.next().post(&call.to_string()).await?;
        ensure!(reply.status == 200, "{tool}: {}", reply.status);
        Ok(reply)
    }

    /// Sends a notification or an answer to the next proxy.
    pub async fn tell(&self, message: &Value) -> Result<()> {
        let status = self.next().post(&message.to_string()).await?.status;
        ensure!(status == 202, "{message}: {status}");
        Ok(())
    }
}

/// The next message of a stream.
pub async fn event(stream: &mut Reply) -> Result<Value> {
    loop {
        let event = stream.event().await?.context("the stream ended")?;
        if !event.data.is_empty() {
            return event.json();
        }
    }
}
