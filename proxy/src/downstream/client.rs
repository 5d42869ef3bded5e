//! One client session, as this replica knows it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use arc_swap::ArcSwapOption;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{capabilities::Capabilities, mailbox::Mailbox, questions::Questions, token::Claims};
use crate::{
    gateway::audience::Audience,
    upstream::{SessionKey, UpstreamSession},
};

/// What a replica holds for a client session beside its token.
pub struct ClientSession {
    /// What its token says.
    pub claims: Claims,
    /// Ends its streams.
    pub ended: CancellationToken,
    used: Mutex<Instant>,
    in_flight: Mutex<Vec<Arc<InFlight>>>,
    queued: Mutex<Vec<Arc<Queued>>>,
    /// The key of the slot that holds this client's state in the server.
    bound: Mutex<Option<SessionKey>>,
    /// Cancelled, and made anew, when it gets a slot of its own.
    settling: Mutex<CancellationToken>,
    /// That slot was pinned: its key's own would be shared.
    pinned: AtomicBool,
    /// What it can be asked.
    pub capabilities: Capabilities,
    /// The clients that it shares slots with.
    pub audience: ArcSwapOption<Audience>,
    /// What waits for its own stream.
    pub mailbox: Mailbox,
    /// Requests of the server that it has not answered.
    pub questions: Mutex<Questions>,
    /// The client is to be told, once, that its state in the server is gone.
    lost: AtomicBool,
    listening: AtomicBool,
}

/// One of a client's requests that waits for a slot.
pub struct Queued {
    id: Box<str>,
    cancelled: CancellationToken,
}

/// Takes a request out of those that wait, on drop.
pub struct Queueing<'a> {
    client: &'a ClientSession,
    queued: Arc<Queued>,
}

impl Queueing<'_> {
    /// Resolves when the client has cancelled the request.
    pub async fn cancelled(&self) {
        self.queued.cancelled.cancelled().await;
    }

    /// Whether the client has cancelled the request.
    pub fn is_cancelled(&self) -> bool {
        self.queued.cancelled.is_cancelled()
    }
}

impl Drop for Queueing<'_> {
    fn drop(&mut self) {
        self.client.queued.lock().retain(|other| !Arc::ptr_eq(other, &self.queued));
    }
}

/// One of a client's requests on its way.
pub struct InFlight {
    /// The client's id of it, as it was written.
    pub id: Box<str>,
    /// The id that it has upstream.
    pub upstream_id: u64,
    /// Where it went.
    pub session: Arc<UpstreamSession>,
    halted: AtomicU8,
    waker: AtomicWaker,
}

/// Why a request is not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Its client cancelled it, and the server had time to answer.
    Cancelled,
    /// A drain's deadline has come.
    Drained,
}

impl InFlight {
    /// A request that was sent.
    pub fn new(id: &str, upstream_id: u64, session: Arc<UpstreamSession>) -> Self {
        Self { id: id.into(), upstream_id, session, halted: AtomicU8::new(0), waker: AtomicWaker::new() }
    }

    /// Stops waiting for its answer. The first reason stands.
    pub fn halt(&self, why: Halt) {
        let _ = self.halted.compare_exchange(0, why as u8 + 1, Ordering::AcqRel, Ordering::Acquire);
        self.waker.wake();
    }

    /// Whether its answer is not waited for any more; else the task is woken when that is so.
    pub fn poll_halted(&self, cx: &std::task::Context<'_>) -> Option<Halt> {
        self.waker.register(cx.waker());
        match self.halted.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Halt::Cancelled),
            _ => Some(Halt::Drained),
        }
    }
}

impl ClientSession {
    /// A client session that was used just now.
    pub fn new(claims: Claims) -> Self {
        Self {
            capabilities: Capabilities::of(&claims.capabilities),
            audience: ArcSwapOption::empty(),
            mailbox: Mailbox::default(),
            questions: Mutex::default(),
            claims,
            ended: CancellationToken::new(),
            used: Mutex::new(Instant::now()),
            in_flight: Mutex::default(),
            queued: Mutex::default(),
            bound: Mutex::default(),
            settling: Mutex::default(),
            pinned: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            listening: AtomicBool::new(false),
        }
    }

    /// Notes a use.
    pub fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    /// When it was last used; none while a request or a stream is open.
    pub fn idle_since(&self) -> Option<Instant> {
        let busy = self.listening.load(Ordering::Relaxed) || !self.in_flight.lock().is_empty();
        (!busy).then(|| *self.used.lock())
    }

    /// When it was last used; none while a request is open.
    pub fn last_used(&self) -> Option<Instant> {
        self.in_flight.lock().is_empty().then(|| *self.used.lock())
    }

    /// Adds a request on its way.
    pub fn add(&self, request: Arc<InFlight>) {
        self.in_flight.lock().push(request);
    }

    /// Removes a request that is done.
    pub fn remove(&self, request: &Arc<InFlight>) {
        self.questions.lock().close(&request.session, request.upstream_id);
        self.in_flight.lock().retain(|other| !Arc::ptr_eq(other, request));
        self.touch();
    }

    /// Adds a request that waits for a slot.
    pub fn queue(&self, id: &str) -> Queueing<'_> {
        let queued = Arc::new(Queued { id: id.into(), cancelled: CancellationToken::new() });
        self.queued.lock().push(Arc::clone(&queued));
        Queueing { client: self, queued }
    }

    /// Whether a request with this id waits for a slot.
    pub fn is_queued(&self, id: &str) -> bool {
        self.queued.lock().iter().any(|queued| &*queued.id == id)
    }

    /// Cancels the request with this id that waits for a slot; false if there is none.
    pub fn cancel_queued(&self, id: &str) -> bool {
        let queued = self.queued.lock();
        let found = queued.iter().find(|queued| &*queued.id == id);
        found.map(|queued| queued.cancelled.cancel()).is_some()
    }

    /// The request on its way with this id.
    pub fn find(&self, id: &str) -> Option<Arc<InFlight>> {
        self.in_flight.lock().iter().find(|request| &*request.id == id).cloned()
    }

    /// Stops waiting for the answers of all its requests.
    pub fn halt_all(&self, why: Halt) -> usize {
        let requests = self.in_flight.lock().clone();
        for request in &requests {
            request.halt(why);
        }
        requests.len()
    }

    /// The key of the slot that holds its state, if one does.
    pub fn bound(&self) -> Option<SessionKey> {
        self.bound.lock().clone()
    }

    /// Whether it has a slot of its own although its key's are shared.
    pub fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Relaxed)
    }

    /// Notes that a slot of its own was made of a shared one.
    pub fn pin(&self, key: SessionKey) {
        self.bind(Some(key));
        self.pinned.store(true, Ordering::Relaxed);
    }

    /// Notes which slot holds its state from now on; gives the one that did.
    pub fn bind(&self, key: Option<SessionKey>) -> Option<SessionKey> {
        if key.is_none() {
            self.pinned.store(false, Ordering::Relaxed);
        }
        let settled = key.is_some();
        let before = std::mem::replace(&mut *self.bound.lock(), key);
        if settled && before.is_none() {
            std::mem::take(&mut *self.settling.lock()).cancel();
        }
        before
    }

    /// Cancelled when it gets a slot of its own: what it listens to without one is not that slot's.
    pub fn settling(&self) -> CancellationToken {
        self.settling.lock().clone()
    }

    /// Whether this client wants log messages of a severity.
    pub fn wants(&self, severity: u8) -> bool {
        self.audience.load().as_ref().is_none_or(|audience| audience.wants(self.claims.id, severity))
    }

    /// Notes that the state it had in the server is gone.
    pub fn lose_state(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether its state is gone and it was not told yet; it counts as told from now on.
    pub fn take_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) && self.lost.swap(false, Ordering::Relaxed)
    }

    /// Whether its one stream of server messages is open.
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// Takes the right to the one stream of server messages; none if it is taken.
    pub fn listen(self: &Arc<Self>) -> Option<Listening> {
        let taken = self.listening.swap(true, Ordering::AcqRel);
        (!taken).then(|| Listening(Arc::clone(self)))
    }
}

/// The one stream of server messages of a client session.
pub struct Listening(Arc<ClientSession>);

impl Listening {
    /// Whose stream it is.
    pub fn client(&self) -> &Arc<ClientSession> {
        &self.0
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(audience) = self.0.audience.load_full() {
            audience.listen(self.0.claims.id, false);
        }
        self.0.touch();
        self.0.listening.store(false, Ordering::Release);
    }
}
