//! The clients of one key, whose slots they share: what each of them listens to, and what the key's sessions have to be told
//! for that.

mod levels;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    downstream::client::ClientSession,
    upstream::{Scope, SessionKey, UpstreamSession},
};

/// The audiences of a proxy.
#[derive(Default)]
pub struct Audiences(Mutex<HashMap<SessionKey, Weak<Audience>>>);

impl Audiences {
    /// The audience of a key; made when missing.
    pub fn of(&self, key: &SessionKey) -> Arc<Audience> {
        let mut table = self.0.lock();
        if let Some(audience) = table.get(key).and_then(Weak::upgrade) {
            return audience;
        }
        table.retain(|_, audience| audience.strong_count() > 0);
        let audience = Arc::new(Audience::new(key.clone()));
        table.insert(key.clone(), Arc::downgrade(&audience));
        audience
    }
}

/// See the module's text.
pub struct Audience {
    /// The key whose slots are shared.
    pub key: SessionKey,
    inner: Mutex<Inner>,
    /// The level that the key's sessions are to send from; [`levels::UNTOUCHED`] while nobody has wished for one.
    level: AtomicU8,
    /// The session that plays control now.
    pub control: watch::Sender<Option<Arc<UpstreamSession>>>,
    /// Grows with each change of what control is needed for.
    pub demand: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    members: HashMap<[u8; 16], Member>,
    subscriptions: HashMap<Box<str>, HashSet<[u8; 16]>>,
    /// A task looks after the control session.
    controlled: bool,
}

struct Member {
    client: Weak<ClientSession>,
    level: Option<u8>,
    listening: bool,
}

impl Audience {
    fn new(key: SessionKey) -> Self {
        Self {
            key,
            inner: Mutex::default(),
            level: AtomicU8::new(levels::UNTOUCHED),
            control: watch::Sender::new(None),
            demand: watch::Sender::new(0),
        }
    }

    /// Adds a client.
    pub fn join(&self, client: &Arc<ClientSession>) {
        let mut inner = self.inner.lock();
        let member = Member { client: Arc::downgrade(client), level: None, listening: false };
        inner.members.entry(client.claims.id).or_insert(member);
        self.settle(&inner);
    }

    /// Takes a client out. Gives the resources that nobody is subscribed to any more.
    pub fn leave(&self, client: [u8; 16]) -> Vec<Box<str>> {
        let mut inner = self.inner.lock();
        inner.members.remove(&client);
        let mut orphaned = Vec::new();
        inner.subscriptions.retain(|uri, subscribers| {
            if subscribers.remove(&client) && subscribers.is_empty() {
                orphaned.push(uri.clone());
            }
            !subscribers.is_empty()
        });
        self.settle(&inner);
        drop(inner);
        self.change();
        orphaned
    }

    /// Notes whether a client has its stream open.
    pub fn listen(&self, client: [u8; 16], listening: bool) {
        if let Some(member) = self.inner.lock().members.get_mut(&client) {
            member.listening = listening;
        }
        self.change();
    }

    /// Notes the level that a client wishes for.
    pub fn wish(&self, client: [u8; 16], level: u8) {
        let mut inner = self.inner.lock();
        if let Some(member) = inner.members.get_mut(&client) {
            member.level = Some(level);
        }
        self.settle(&inner);
        drop(inner);
        self.change();
    }

    fn settle(&self, inner: &Inner) {
        let wishes = inner.members.values().map(|member| member.level);
        let touched = self.level.load(Ordering::Relaxed) != levels::UNTOUCHED;
        self.level.store(levels::wanted(wishes, touched), Ordering::Relaxed);
    }

    fn change(&self) {
        self.demand.send_modify(|changes| *changes += 1);
    }

    /// The level that sessions of the key are to send from; none while they are left as they are.
    pub fn level(&self) -> Option<u8> {
        Some(self.level.load(Ordering::Relaxed)).filter(|level| *level != levels::UNTOUCHED)
    }

    /// Whether a client is to get a log message of a severity.
    pub fn wants(&self, client: [u8; 16], severity: u8) -> bool {
        let inner = self.inner.lock();
        let wish = inner.members.get(&client).and_then(|member| member.level);
        severity >= levels::least(wish, self.level().is_some())
    }

    /// Subscribes a client; true if it is the resource's first.
    pub fn subscribe(&self, client: [u8; 16], uri: &str) -> bool {
        let mut inner = self.inner.lock();
        let subscribers = inner.subscriptions.entry(uri.into()).or_default();
        let first = subscribers.is_empty();
        subscribers.insert(client);
        drop(inner);
        self.change();
        first
    }

    /// Ends a client's subscription; true if it was the resource's last.
    pub fn unsubscribe(&self, client: [u8; 16], uri: &str) -> bool {
        let mut inner = self.inner.lock();
        let Some(subscribers) = inner.subscriptions.get_mut(uri) else { return false };
        let last = subscribers.remove(&client) && subscribers.is_empty();
        if last {
            inner.subscriptions.remove(uri);
        }
        drop(inner);
        self.change();
        last
    }

    /// The resources that somebody is subscribed to.
    pub fn subscriptions(&self) -> Vec<Box<str>> {
        self.inner.lock().subscriptions.keys().cloned().collect()
    }

    /// Whether a control session is needed.
    pub fn needs_control(&self) -> bool {
        let inner = self.inner.lock();
        inner.members.values().any(|member| member.listening) || !inner.subscriptions.is_empty()
    }

    /// Takes on the task of looking after the control session; false if somebody has, or nobody needs to.
    pub fn begin_control(&self) -> bool {
        let needed = self.needs_control();
        let mut inner = self.inner.lock();
        needed && !std::mem::replace(&mut inner.controlled, true)
    }

    /// Gives the task up, unless a control session is needed again.
    pub fn end_control(&self) -> bool {
        let needed = self.needs_control();
        let mut inner = self.inner.lock();
        inner.controlled = needed;
        !needed
    }

    /// Gives a message to all who listen. Says how many there were.
    pub fn announce(&self, message: &Bytes, subject: &str) -> usize {
        self.deliver(message, Some(subject), |_, member| member.listening)
    }

    /// Gives a log message to those who listen and want it, where it can't speak of another user's data.
    pub fn log(&self, message: &Bytes, severity: u8) -> usize {
        if self.key.scope == Scope::Shared {
            return 0;
        }
        let raised = self.level().is_some();
        self.deliver(message, None, |_, member| {
            member.listening && severity >= levels::least(member.level, raised)
        })
    }

    /// Tells a resource's subscribers of its change, also those whose stream is not open yet.
    pub fn updated(&self, uri: &str, message: &Bytes) -> usize {
        let subscribers = self.inner.lock().subscriptions.get(uri).cloned().unwrap_or_default();
        self.deliver(message, Some(uri), |client, _| subscribers.contains(client))
    }

    fn deliver(
        &self,
        message: &Bytes,
        subject: Option<&str>,
        to: impl Fn(&[u8; 16], &Member) -> bool,
    ) -> usize {
        let members: Vec<_> = {
            let inner = self.inner.lock();
            let chosen = inner.members.iter().filter(|(client, member)| to(client, member));
            chosen.filter_map(|(_, member)| member.client.upgrade()).collect()
        };
        for client in &members {
            client.mailbox.put(message.clone(), subject);
        }
        members.len()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use futures::task::noop_waker_ref;

    use super::*;
    use crate::{downstream::token::Claims, mcp::ProtocolVersion};

    fn client(id: u8) -> Arc<ClientSession> {
        Arc::new(ClientSession::new(Claims {
            id: [id; 16],
            principal: [0; 16],
            version: ProtocolVersion::LATEST,
            issued: 0,
            home: None,
            capabilities: "{}".into(),
        }))
    }

    fn mail(client: &ClientSession) -> usize {
        let cx = Context::from_waker(noop_waker_ref());
        std::iter::from_fn(|| client.mailbox.poll_take(&cx)).count()
    }

    fn audience(scope: Scope) -> (Audience, [Arc<ClientSession>; 2]) {
        let audience = Audience::new(SessionKey::warm(scope));
        let clients = [client(1), client(2)];
        for client in &clients {
            audience.join(client);
        }
        (audience, clients)
    }

    const MESSAGE: Bytes = Bytes::from_static(b"{}");

    #[test]
    fn subscriptions_are_counted_and_served() {
        let (audience, [a, b]) = audience(Scope::Shared);
        assert!(audience.subscribe(a.claims.id, "u"));
        assert!(!audience.subscribe(b.claims.id, "u"));
        assert!(audience.needs_control());
        assert_eq!(audience.updated("u", &MESSAGE), 2);
        assert_eq!(audience.updated("v", &MESSAGE), 0);
        assert!(!audience.unsubscribe(a.claims.id, "u"));
        assert!(!audience.unsubscribe(a.claims.id, "u"), "it is not its");
        assert_eq!(audience.updated("u", &MESSAGE), 1);
        assert_eq!(audience.leave(b.claims.id), [Box::from("u")]);
        assert!(!audience.needs_control());
        assert_eq!((mail(&a), mail(&b)), (1, 1), "the later one took the earlier one's place");
    }

    #[test]
    fn announcements_reach_listeners_once() {
        let (audience, [a, b]) = audience(Scope::Shared);
        audience.listen(a.claims.id, true);
        assert_eq!(audience.announce(&MESSAGE, "tools"), 1);
        assert_eq!((mail(&a), mail(&b)), (1, 0));
    }

    #[test]
    fn log_messages_stay_within_a_principal() {
        for (scope, expected) in [(Scope::Shared, 0), (Scope::Principal([1; 16]), 1)] {
            let (audience, [a, b]) = audience(scope);
            audience.listen(a.claims.id, true);
            audience.listen(b.claims.id, true);
            audience.wish(a.claims.id, 5);
            assert_eq!(audience.log(&MESSAGE, 1), expected, "{scope:?}: the one who did not ask for silence");
        }
    }

    #[test]
    fn one_task_controls() {
        let (audience, [a, _]) = audience(Scope::Shared);
        assert!(!audience.begin_control(), "nobody needs it");
        audience.listen(a.claims.id, true);
        assert!(audience.begin_control());
        assert!(!audience.begin_control());
        assert!(!audience.end_control(), "it is needed");
        audience.listen(a.claims.id, false);
        assert!(audience.end_control());
    }
}
