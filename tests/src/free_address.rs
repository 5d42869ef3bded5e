//! Addresses for servers that can't report one of their own choice.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;

/// Below the kernel's range for outgoing connections and for port 0, so that nobody is given a port in the time that its server
/// takes to start; below the ports of clusters, too.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;

const NONE: &str = "no port from 10000 to 19999 is free on loopback";

/// Each process begins somewhere else.
static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0)));

/// A loopback address that nothing listens at, given out once.
pub fn free_address() -> Result<SocketAddr> {
    candidates().find(|address| std::net::TcpListener::bind(address).is_ok()).context(NONE)
}

/// A listener at such an address. It is found by taking it: a process that is started at the same moment may hold, for as long,
/// the port of a listener that was just closed.
pub async fn free_listener() -> Result<TcpListener> {
    for address in candidates() {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Ok(listener);
        }
    }
    bail!(NONE)
}

fn candidates() -> impl Iterator<Item = SocketAddr> {
    (0..COUNT).map(|_| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % u64::from(COUNT);
        // Less than COUNT.
        let port = FIRST + u16::try_from(number).unwrap_or_default();
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    })
}
