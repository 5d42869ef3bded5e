//! Counts of requests, on the request path: one atomic each.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;

/// Requests by the class of their answer's status.
#[derive(Debug, Default)]
pub struct Requests {
    classes: [AtomicU64; 6],
    foreign: AtomicU64,
    repeats: AtomicU64,
    state_losses: AtomicU64,
    drain_refusals: AtomicU64,
    drain_aborts: AtomicU64,
    /// Requests and notifications of the server.
    unattributed: [AtomicU64; 2],
}

impl Requests {
    /// Counts an answered request.
    pub fn count(&self, status: StatusCode) {
        if let Some(class) = self.classes.get(usize::from(status.as_u16() / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a session id that came with another principal's credential.
    pub fn count_foreign(&self) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
    }

    /// Each class and its count.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = ["2xx", "4xx", "5xx"];
        let counts = [2, 4, 5].map(|class: usize| self.classes[class].load(Ordering::Relaxed));
        names.into_iter().zip(counts)
    }

    /// Session ids that came with another principal's credential.
    pub fn foreign(&self) -> u64 {
        self.foreign.load(Ordering::Relaxed)
    }

    /// Counts a request that is sent a second time.
    pub fn count_repeat(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were sent a second time.
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Counts a client that is told that its state in a session is gone.
    pub fn count_state_loss(&self) {
        self.state_losses.fetch_add(1, Ordering::Relaxed);
    }

    /// Clients that were told that their state in a session is gone.
    pub fn state_losses(&self) -> u64 {
        self.state_losses.load(Ordering::Relaxed)
    }

    /// Counts a request that is refused since the pool drains or is drained.
    pub fn count_drain_refusal(&self) {
        self.drain_refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were refused since the pool drained or was drained.
    pub fn drain_refusals(&self) -> u64 {
        self.drain_refusals.load(Ordering::Relaxed)
    }

    /// Counts requests that a drain's deadline ended.
    pub fn count_drain_aborts(&self, count: usize) {
        self.drain_aborts.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Requests that a drain's deadline ended.
    pub fn drain_aborts(&self) -> u64 {
        self.drain_aborts.load(Ordering::Relaxed)
    }

    /// Counts a request of the server that no client can be asked.
    pub fn count_unattributed_request(&self) {
        self.unattributed[0].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests of the server that no client could be asked.
    pub fn unattributed_requests(&self) -> u64 {
        self.unattributed[0].load(Ordering::Relaxed)
    }

    /// Counts a notification of the server that belongs to no one client.
    pub fn count_unattributed_notification(&self) {
        self.unattributed[1].fetch_add(1, Ordering::Relaxed);
    }

    /// Notifications of the server that belonged to no one client.
    pub fn unattributed_notifications(&self) -> u64 {
        self.unattributed[1].load(Ordering::Relaxed)
    }
}
