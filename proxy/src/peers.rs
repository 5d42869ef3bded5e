//! The other proxies of the same pool.
//!
//! A client session lives with the proxy that made it, its home, which its token names. What arrives elsewhere is forwarded
//! there; when the home is gone, the proxies that are left agree on the one that takes its client sessions over.

mod directory;
mod forward;
mod hello;
mod listen;
mod proof;
mod relay;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::Instant;

use self::directory::Directory;
pub use self::{
    forward::Outcomes,
    listen::serve,
    proof::{HEADER as PROOF, Prover},
    relay::Relay,
};
use crate::downstream::{keyring::Keyring, token::Claims};

/// How long a connection to a peer may take; a peer that is slower counts as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a peer may leave bytes unacknowledged, and a silent connection untried: a node that is lost says nothing.
const SILENCE: Duration = Duration::from_secs(10);

/// A client session that belongs to another proxy is kept this long, while nobody comes or goes.
const STRAY_TIME: Duration = Duration::from_secs(10);

/// Idle connections are closed before the peer closes them.
const CONNECTION_IDLE: Duration = Duration::from_secs(60);

/// The proxies that share this one's client sessions.
pub struct Peers {
    directory: Arc<Directory>,
    client: Client<HttpConnector, Full<Bytes>>,
    keyring: Arc<Keyring>,
    /// What became of forwarded messages.
    pub outcomes: Arc<Outcomes>,
}

impl Peers {
    /// Those at `names` (`host:port`, or several with commas), of which this one is `own`.
    pub fn new(names: &str, own: SocketAddr, keyring: Arc<Keyring>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(SILENCE));
        tcp.set_keepalive_interval(Some(SILENCE / 2));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(SILENCE));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(CONNECTION_IDLE)
            .build(tcp);
        let directory = Arc::new(Directory::new(names, own));
        Self { directory, client, keyring, outcomes: Arc::default() }
    }

    /// Where the others reach this proxy.
    pub fn own(&self) -> SocketAddr {
        self.directory.own()
    }

    /// Whether a client session that was last used here at `used` has gone on at another proxy, or will: one that was taken
    /// over, and whose home is back.
    pub fn is_stray(&self, claims: &Claims, used: Instant) -> bool {
        let settled = used.max(self.directory.changed());
        settled.elapsed() >= STRAY_TIME && self.directory.owner(claims) != self.own()
    }

    /// Who is there and who lives.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }
}

/// An address as the command line has it: the port may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress {
    ip: IpAddr,
    port: Option<u16>,
}

impl PeerAddress {
    /// The whole address, with `port` if none was given.
    pub fn with_port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip.to_canonical(), self.port.unwrap_or(port))
    }
}

impl std::str::FromStr for PeerAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = text.parse::<SocketAddr>().map(|whole| Self { ip: whole.ip(), port: Some(whole.port()) });
        whole.or_else(|_| text.parse().map(|ip| Self { ip, port: None })).map_err(
            |_| "give the IP address at which the other proxies reach this one, with a port or without",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_with_and_without_port() {
        let whole =
            |text: &str| text.parse::<PeerAddress>().map(|address| address.with_port(9091).to_string());
        assert_eq!(whole("10.0.0.1").unwrap(), "10.0.0.1:9091");
        assert_eq!(whole("10.0.0.1:1").unwrap(), "10.0.0.1:1");
        assert_eq!(whole("fd00::1").unwrap(), "[fd00::1]:9091");
        assert_eq!(whole("[fd00::1]:1").unwrap(), "[fd00::1]:1");
        assert!(whole("proxy-0").is_err());
    }
}
