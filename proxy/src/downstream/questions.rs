//! Requests of the server that were passed on to a client, and wait for its answer.
//!
//! Each server session counts its requests by itself, so a client that uses several would see one id twice: it gets ids of
//! ours.

use std::sync::Arc;

use crate::upstream::UpstreamSession;

/// A request of the server on its way to the client's answer.
#[derive(Clone)]
pub struct Question {
    /// The id that the client sees, as JSON.
    pub id: Box<str>,
    /// Where it came from, and where its answer goes.
    pub session: Arc<UpstreamSession>,
    /// The server's own id, as it wrote it.
    pub theirs: Box<str>,
    /// The server's progress token, as it wrote it.
    pub token: Option<Box<str>>,
    /// The client's request that it came with.
    call: u64,
}

/// The open questions of one client session.
pub struct Questions {
    next: u32,
    open: Vec<Question>,
}

impl Default for Questions {
    fn default() -> Self {
        // A client session outlives this process: an answer to a question from before is not taken for one of now.
        Self { next: fastrand::u32(..), open: Vec::new() }
    }
}

impl Questions {
    /// Notes a question that came with the call numbered `call`; gives its id for the client.
    pub fn ask(
        &mut self,
        session: &Arc<UpstreamSession>,
        call: u64,
        theirs: &str,
        token: Option<&str>,
    ) -> Box<str> {
        self.next = self.next.wrapping_add(1);
        let id: Box<str> = format!("\"pool-{}\"", self.next).into();
        let session = Arc::clone(session);
        let token = token.map(Into::into);
        self.open.push(Question { id: id.clone(), session, theirs: theirs.into(), token, call });
        id
    }

    /// Takes out the question that an answer is for.
    pub fn answer(&mut self, id: &str) -> Option<Question> {
        let at = self.open.iter().position(|question| &*question.id == id)?;
        Some(self.open.swap_remove(at))
    }

    /// The question with this id or token for the client.
    pub fn find(&self, id: &str) -> Option<Question> {
        self.open.iter().find(|question| &*question.id == id).cloned()
    }

    /// Takes out the question that its server has withdrawn.
    pub fn withdraw(&mut self, session: &Arc<UpstreamSession>, theirs: &str) -> Option<Question> {
        let same =
            |question: &Question| Arc::ptr_eq(&question.session, session) && &*question.theirs == theirs;
        let at = self.open.iter().position(same)?;
        Some(self.open.swap_remove(at))
    }

    /// Drops what came with a call that is over.
    pub fn close(&mut self, session: &Arc<UpstreamSession>, call: u64) {
        self.open.retain(|question| question.call != call || !Arc::ptr_eq(&question.session, session));
    }
}
