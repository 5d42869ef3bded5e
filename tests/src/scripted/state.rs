//! What the scripted server knows.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::{mpsc::Sender, oneshot};

use super::{Behaviour, Fault, Gates, Seen};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) gates: Gates,
    behaviour: Mutex<Behaviour>,
    sessions: Mutex<HashSet<String>>,
    memory: Mutex<HashMap<String, String>>,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<(String, Fault)>>,
    running: Mutex<Running>,
    opened: AtomicU64,
    questions: Mutex<HashMap<(String, u64), oneshot::Sender<Value>>>,
    asked: Mutex<HashMap<String, u64>>,
    /// Open streams of sessions.
    streams: Mutex<HashMap<String, Sender<String>>>,
}

/// Calls in progress, by session.
#[derive(Debug, Default)]
struct Running {
    now: HashMap<String, usize>,
    most: usize,
}

/// A call in progress.
#[derive(Debug)]
pub(super) struct Call<'a> {
    state: &'a State,
    session: String,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.state.running.lock().now.get_mut(&self.session) {
            *count -= 1;
        }
    }
}

impl State {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self { behaviour: Mutex::new(behaviour), ..Self::default() }
    }

    pub(super) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock()
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, HashSet<String>> {
        self.sessions.lock()
    }

    /// What tools remembered, by session.
    pub(super) fn memory(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.memory.lock()
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock()
    }

    /// Counts a call until the guard is dropped.
    pub(super) fn begin(&self, session: &str) -> Call<'_> {
        let mut running = self.running.lock();
        let count = running.now.entry(session.to_owned()).or_default();
        *count += 1;
        let count = *count;
        running.most = running.most.max(count);
        Call { state: self, session: session.to_owned() }
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.running.lock().most
    }

    /// Calls that are to go wrong, by tool.
    pub(super) fn faults(&self) -> MutexGuard<'_, Vec<(String, Fault)>> {
        self.faults.lock()
    }

    /// The next fault of a tool, which is used up.
    pub(super) fn take_fault(&self, tool: &Value) -> Option<Fault> {
        let mut faults = self.faults();
        let at = faults.iter().position(|(name, _)| tool == name)?;
        Some(faults.remove(at).1)
    }

    pub(super) fn new_session(&self) -> String {
        let id = format!("upstream-session-{}", self.opened.fetch_add(1, Ordering::Relaxed));
        self.sessions().insert(id.clone());
        id
    }

    /// The id of a question to a client, and the response to come. Each session counts from 0, as in real servers.
    pub(super) fn question(&self, session: &str) -> (u64, oneshot::Receiver<Value>) {
        let mut asked = self.asked.lock();
        let next = asked.entry(session.to_owned()).or_default();
        let (number, (sender, receiver)) = (*next, oneshot::channel());
        *next += 1;
        self.questions.lock().insert((session.to_owned(), number), sender);
        (number, receiver)
    }

    /// Takes a client's response.
    pub(super) fn answered(&self, session: &str, response: &Value) {
        let number = response["id"].as_u64();
        let question = number.and_then(|number| self.questions.lock().remove(&(session.to_owned(), number)));
        if let Some(sender) = question {
            // The tool may be gone with its client.
            let _ = sender.send(response.clone());
        }
    }

    /// Open streams of sessions.
    pub(super) fn streams(&self) -> MutexGuard<'_, HashMap<String, Sender<String>>> {
        self.streams.lock()
    }

    /// Waits until a gate is open.
    pub(super) async fn pass(&self, gate: &str) {
        let _ = self.gates.subscribe().wait_for(|gates| gates.contains(gate)).await;
    }
}
