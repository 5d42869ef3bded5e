//! The pool's lock, and the carrying out of what its state decides.

use std::{sync::Arc, time::Duration};

use foldhash::{HashMap, HashMapExt};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    CheckoutError, Connector, Granted, Live, Session,
    lease::Lease,
    limits::Limits,
    slot_task,
    state::{
        Acquired, Action, Ask, CloseReason, Ending, EndpointId, Failure, Grant, PinReason, SlotId, State,
        WaiterId,
    },
    stats::{EndpointInfo, SlotInfo, Snapshot},
    sync::{self, Mutex, MutexGuard},
};

/// How long closing a session may take.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

type PoolState<C> = State<<C as Connector>::Key, <C as Connector>::Error>;
type Actions<C> = Vec<Action<<C as Connector>::Key, <C as Connector>::Error>>;
type Answer<C> = Result<Lease<C>, CheckoutError<<C as Connector>::Error>>;

pub(super) struct Shared<C: Connector> {
    pub connector: C,
    inner: Mutex<Inner<C>>,
    /// Quiet time after which a session is pinged, as it is now.
    pub keepalive: watch::Sender<Option<Duration>>,
    pub stop: CancellationToken,
    tasks: TaskTracker,
}

struct Inner<C: Connector> {
    state: PoolState<C>,
    live: HashMap<SlotId, Live<C::Session>>,
    waiters: HashMap<WaiterId, oneshot::Sender<Answer<C>>>,
}

/// What is left to do without the lock.
enum Deed<C: Connector> {
    Answer(oneshot::Sender<Answer<C>>, Answer<C>),
    Return(Lease<C>),
    Spawn(Opening<C::Key>),
}

/// A slot whose session is to be opened.
pub(super) struct Opening<K> {
    pub slot: SlotId,
    pub key: K,
    pub endpoint: EndpointId,
    pub close: CancellationToken,
}

/// What an acquire came to, with the means to go on.
pub(super) enum Turn<C: Connector> {
    Lease(Lease<C>),
    Wait(WaiterId, Granted<C>),
}

impl<C: Connector> Shared<C> {
    pub fn new(connector: C, limits: Limits, warm: Option<C::Key>) -> Self {
        let keepalive = watch::Sender::new(limits.keepalive);
        let state = State::new(limits, warm, &connector.endpoints(), fastrand::u64(..));
        Self {
            connector,
            inner: Mutex::new(Inner { state, live: HashMap::new(), waiters: HashMap::new() }),
            keepalive,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// A lease, or a place in the queue whose channel is known before any grant can be made.
    pub fn acquire(self: &Arc<Self>, key: &C::Key, ask: Ask) -> Result<Turn<C>, CheckoutError<C::Error>> {
        let mut actions = Vec::new();
        let mut inner = self.inner.lock();
        let turn = match inner.state.acquire(key, ask, Instant::now(), &mut actions) {
            Ok(Acquired::Slot(grant)) => inner
                .lease(self, grant)
                .map(Turn::Lease)
                .ok_or(CheckoutError::Refused(super::Refusal::Closed)),
            Ok(Acquired::Wait(waiter)) => {
                let (sender, receiver) = oneshot::channel();
                inner.waiters.insert(waiter, sender);
                Ok(Turn::Wait(waiter, receiver))
            }
            Err(failure) => Err(failure.into()),
        };
        self.carry_out(inner, actions);
        turn
    }

    /// Changes the state and carries out what follows.
    pub fn update(self: &Arc<Self>, change: impl FnOnce(&mut PoolState<C>, Instant, &mut Actions<C>)) {
        let mut actions = Vec::new();
        let mut inner = self.inner.lock();
        change(&mut inner.state, Instant::now(), &mut actions);
        self.carry_out(inner, actions);
    }

    fn carry_out(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner<C>>, actions: Actions<C>) {
        if actions.is_empty() {
            return;
        }
        let deeds: Vec<_> = actions.into_iter().filter_map(|action| inner.prepare(self, action)).collect();
        drop(inner);
        for deed in deeds {
            match deed {
                // A waiter that is gone drops the lease, which gives it to the next one.
                Deed::Answer(sender, answer) => drop(sender.send(answer)),
                Deed::Return(lease) => drop(lease),
                Deed::Spawn(opening) => {
                    let task = slot_task::run(Arc::clone(self), opening);
                    sync::spawn(self.tasks.track_future(task));
                }
            }
        }
    }

    /// Gives up a place in the queue, unless its answer is on the way.
    pub fn forget(&self, key: &C::Key, waiter: WaiterId) {
        let mut inner = self.inner.lock();
        if inner.waiters.remove(&waiter).is_some() {
            inner.state.forget(key, waiter);
        }
    }

    pub fn timed_out(&self, key: &C::Key) -> CheckoutError<C::Error> {
        let mut inner = self.inner.lock();
        inner.state.counters.timeouts += 1;
        CheckoutError::Timeout(inner.state.pressure(key))
    }

    pub fn release(self: &Arc<Self>, slot: SlotId, ending: Ending) {
        self.update(|state, now, actions| state.release(slot, ending, now, actions));
    }

    pub fn rename(&self, old: &C::Key, new: &C::Key) -> bool {
        self.inner.lock().state.rename(old, new, Instant::now())
    }

    pub fn pin(&self, slot: SlotId, key: &C::Key, reason: PinReason) -> bool {
        self.inner.lock().state.pin(slot, key, reason, Instant::now())
    }

    pub fn checked(&self, slot: SlotId) {
        self.inner.lock().state.checked(slot, Instant::now());
    }

    /// Has the slot checked before its next use if it is leased; false if it is not.
    pub fn doubt_if_leased(&self, slot: SlotId) -> bool {
        self.inner.lock().state.doubt_if_leased(slot)
    }

    /// Takes back that a request was counted.
    pub fn uncount(&self, slot: SlotId) {
        self.inner.lock().state.uncount(slot);
    }

    /// Has every slot on the slot's endpoint checked before its next use.
    pub fn suspect(&self, lost: SlotId) {
        self.inner.lock().state.suspect(lost);
    }

    /// The slot's task has opened its session.
    pub fn opened(self: &Arc<Self>, slot: SlotId, session: &Arc<C::Session>) {
        let mut actions = Vec::new();
        let mut inner = self.inner.lock();
        if let Some(live) = inner.live.get_mut(&slot) {
            live.session = Some(Arc::clone(session));
        }
        inner.state.opened(slot, fastrand::f64(), Instant::now(), &mut actions);
        self.carry_out(inner, actions);
    }

    /// The slot's task has ended; `change` tells the state how.
    pub fn ended(
        self: &Arc<Self>,
        slot: SlotId,
        change: impl FnOnce(&mut PoolState<C>, Instant, &mut Actions<C>),
    ) {
        let mut actions = Vec::new();
        let mut inner = self.inner.lock();
        inner.live.remove(&slot);
        change(&mut inner.state, Instant::now(), &mut actions);
        self.carry_out(inner, actions);
    }

    pub fn close_outdated(self: &Arc<Self>) {
        let mut actions = Vec::new();
        let mut inner = self.inner.lock();
        let outdated = |live: &Live<C::Session>| live.session.as_ref().is_some_and(|s| !s.is_current());
        let ids: Vec<_> = inner.live.iter().filter(|(_, live)| outdated(live)).map(|(id, _)| *id).collect();
        for id in ids {
            inner.state.condemn(id, CloseReason::Outdated, &mut actions);
        }
        self.carry_out(inner, actions);
    }

    pub fn snapshot(&self) -> Snapshot {
        self.inner.lock().state.snapshot(Instant::now())
    }

    pub fn slots(&self) -> Vec<SlotInfo<C::Key>> {
        let inner = self.inner.lock();
        let mut slots = inner.state.slots(Instant::now());
        for slot in &mut slots {
            let session = inner.live.get(&slot.id).and_then(|live| live.session.as_ref());
            slot.endpoint = session.map(|session| session.endpoint().to_owned()).unwrap_or_default();
        }
        slots
    }

    pub fn endpoints(&self) -> Vec<(EndpointId, EndpointInfo)> {
        self.inner.lock().state.endpoints(Instant::now())
    }

    pub fn peek(&self, key: &C::Key) -> Option<Arc<C::Session>> {
        let inner = self.inner.lock();
        let slot = inner.state.peek(key)?;
        inner.live.get(&slot)?.session.clone()
    }

    pub fn last_connect_error(&self) -> Option<C::Error> {
        self.inner.lock().state.last_error().cloned()
    }

    pub async fn close(self: &Arc<Self>, deadline: Instant) {
        self.stop.cancel();
        self.update(|state, _, actions| state.shut(actions));
        self.cancel_tasks(|live| live.session.is_none());
        self.tasks.close();
        if sync::timeout_at(deadline, self.tasks.wait()).await.is_err() {
            self.cancel_tasks(|_| true);
            // Each task's own limit on closing has ended by then.
            let _ = sync::timeout(CLOSE_TIMEOUT * 2, self.tasks.wait()).await;
        }
    }

    fn cancel_tasks(&self, which: impl Fn(&Live<C::Session>) -> bool) {
        let inner = self.inner.lock();
        inner.live.values().filter(|live| which(live)).for_each(|live| live.close.cancel());
    }
}

impl<C: Connector> Inner<C> {
    fn lease(&self, shared: &Arc<Shared<C>>, grant: Grant) -> Option<Lease<C>> {
        let session = self.live.get(&grant.slot)?.session.clone()?;
        Some(Lease::new(Arc::clone(shared), session, grant))
    }

    fn prepare(&mut self, shared: &Arc<Shared<C>>, action: Action<C::Key, C::Error>) -> Option<Deed<C>> {
        match action {
            Action::Grant(waiter, grant) => {
                let lease = self.lease(shared, grant)?;
                Some(match self.waiters.remove(&waiter) {
                    Some(sender) => Deed::Answer(sender, Ok(lease)),
                    // Given back once the lock is free.
                    None => Deed::Return(lease),
                })
            }
            Action::Fail(waiter, failure) => {
                Some(Deed::Answer(self.waiters.remove(&waiter)?, Err(failure.into())))
            }
            Action::Open(slot, key, endpoint) => {
                let close = CancellationToken::new();
                self.live.insert(slot, Live { session: None, close: close.clone() });
                Some(Deed::Spawn(Opening { slot, key, endpoint, close }))
            }
            Action::Close(slot) => {
                self.live.get(&slot)?.close.cancel();
                None
            }
        }
    }
}

impl<E> From<Failure<E>> for CheckoutError<E> {
    fn from(failure: Failure<E>) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::Refused(refusal),
            Failure::Connect(error) => Self::Connect(error),
        }
    }
}
