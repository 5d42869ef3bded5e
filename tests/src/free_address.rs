//! Addresses for servers that can't report one of their own choice.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Result, bail};

/// Below the kernel's range for outgoing connections and for port 0, so that nobody is given a port in the time that its server
/// takes to start; below the ports of clusters, too.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;

/// Each process begins somewhere else.
static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0)));

/// A loopback address that nothing listens at, given out once.
pub fn free_address() -> Result<SocketAddr> {
    for _ in 0..COUNT {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % u64::from(COUNT);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + u16::try_from(number)?));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port between {FIRST} and {} on loopback", FIRST + COUNT)
}
