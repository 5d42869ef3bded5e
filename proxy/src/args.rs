//! The command line.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

use crate::peers::PeerAddress;

/// Pools sessions to one MCP server and serves many clients over them.
#[derive(Debug, Parser)]
#[command(name = "sessionpool-proxy", version, about)]
pub struct Args {
    /// A SessionPool manifest, or the operator's rendering of one. Read again when it changes, and on SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Where clients are served, at /mcp.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Where /livez, /readyz, /metrics, /pool/stats and /pool/sessions are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub admin_listen: SocketAddr,

    /// Serves REST on the admin port too, for whoever has the token in this file: /api/servers and what is below it, and
    /// /openapi.json. What is written by it changes the file of --config. Without this the port is read only.
    #[arg(long, value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,

    /// The secret that client sessions are sealed with; made when missing. Without it they end with the process. Those in files
    /// of the same name with .next or .previous at its end are good, too.
    #[arg(long, value_name = "FILE")]
    pub session_key_file: Option<PathBuf>,

    /// The proxies that share the session key, this one among them: a DNS name of all, or addresses with commas. Messages of
    /// client sessions go to the proxy that made them.
    #[arg(long, value_name = "HOST:PORT", env = "SESSIONPOOL_PEERS", requires_all = ["peer_listen", "session_key_file"])]
    pub peers: Option<String>,

    /// Where the other proxies are served.
    #[arg(long, value_name = "ADDR", env = "SESSIONPOOL_PEER_LISTEN", requires = "peers")]
    pub peer_listen: Option<SocketAddr>,

    /// The IP address at which the other proxies reach this one. [default: that of --peer-listen]
    #[arg(long, value_name = "IP[:PORT]", env = "SESSIONPOOL_PEER_ADDRESS", requires = "peers")]
    pub peer_address: Option<PeerAddress>,

    /// How log lines are written to standard error. What is logged is set by RUST_LOG.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Export a trace of each request to this OTLP endpoint, by HTTP. Headers, sampling, resource and batches are set by the
    /// usual OTEL_ variables, and so can be the endpoint. [default: no traces]
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// The largest request body that is taken.
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    pub max_body_bytes: usize,

    /// Seconds that running requests have after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub shutdown_seconds: u64,

    /// Threads that serve requests. [default: half of the processor cores, at least one: the other half is left to the MCP
    /// servers beside, whose work is the larger part]
    #[arg(long, value_name = "NUMBER", env = "SESSIONPOOL_THREADS")]
    pub threads: Option<NonZeroUsize>,

    /// Check the configuration and exit.
    #[arg(long)]
    pub check: bool,
}

impl Args {
    /// Time that running requests have after SIGTERM.
    pub fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }

    /// Threads that serve requests, where `cores` can be used.
    pub fn threads(&self, cores: usize) -> usize {
        self.threads.map_or((cores / 2).max(1), NonZeroUsize::get)
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
