//! nginx as a plain reverse proxy, for comparison.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{eventually, free_address};

/// Its worker processes.
pub const WORKERS: usize = 2;

/// A running nginx; ended when dropped.
pub struct Nginx {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx in front of `upstream`, without buffering and with kept connections.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sessionpool-nginx-").tempdir()?;
        // nginx can't report a port of its own choice, so one is found for it.
        let address = free_address()?;
        let root = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"))
            .concat();
        let config = format!(
            "daemon off; worker_processes {WORKERS}; pid {root}/pid; error_log {root}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000; {temporary}\n\
             upstream server {{ server {upstream}; keepalive 256; keepalive_requests 1000000; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://server; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n"
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config)?;
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(false)
            .spawn()
            .context("nginx can't be started; install it with: apt-get install nginx-light")?;
        let nginx = Self { address, child, _folder: folder };
        eventually(Duration::from_secs(10), "nginx to listen", async || {
            TcpStream::connect(address).await.map(drop).context("connect")
        })
        .await?;
        Ok(nginx)
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its main process ends its workers when it is told to end, not when it is killed.
        if let Some(pid) = self.child.id() {
            let _ = std::process::Command::new("kill").arg("-TERM").arg(pid.to_string()).status();
        }
    }
}
