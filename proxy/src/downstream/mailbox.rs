//! Messages that wait for a client's own stream.

use std::{collections::VecDeque, task::Context};

use bytes::Bytes;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

/// Messages that are kept for a client that does not read: the oldest go first.
const CAPACITY: usize = 256;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Mailbox {
    letters: Mutex<VecDeque<Letter>>,
    waker: AtomicWaker,
}

#[derive(Debug)]
struct Letter {
    message: Bytes,
    /// A later one with the same subject takes its place.
    subject: Option<Box<str>>,
}

impl Mailbox {
    /// Adds a message. One that is about a subject replaces an earlier one about it. Says how many were dropped for it.
    pub fn put(&self, message: Bytes, subject: Option<&str>) -> usize {
        let mut letters = self.letters.lock();
        if subject.is_some() {
            letters.retain(|letter| letter.subject.as_deref() != subject);
        }
        let surplus = (letters.len() + 1).saturating_sub(CAPACITY);
        letters.drain(..surplus);
        letters.push_back(Letter { message, subject: subject.map(Into::into) });
        drop(letters);
        self.waker.wake();
        surplus
    }

    /// The next message; else the task is woken when there is one.
    pub fn poll_take(&self, cx: &Context<'_>) -> Option<Bytes> {
        self.waker.register(cx.waker());
        self.letters.lock().pop_front().map(|letter| letter.message)
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;

    use super::*;

    fn all(mailbox: &Mailbox) -> Vec<Bytes> {
        let cx = Context::from_waker(noop_waker_ref());
        std::iter::from_fn(|| mailbox.poll_take(&cx)).collect()
    }

    #[test]
    fn keeps_order_and_the_latest_of_a_subject() {
        let mailbox = Mailbox::default();
        for (message, subject) in
            [("a1", Some("a")), ("x", None), ("b", Some("b")), ("a2", Some("a")), ("x", None)]
        {
            assert_eq!(mailbox.put(Bytes::from_static(message.as_bytes()), subject), 0);
        }
        assert_eq!(all(&mailbox), ["x", "b", "a2", "x"]);
    }

    #[test]
    fn drops_the_oldest() {
        let mailbox = Mailbox::default();
        let dropped: usize = (0..CAPACITY + 3).map(|n| mailbox.put(Bytes::from(n.to_string()), None)).sum();
        assert_eq!(dropped, 3);
        assert_eq!(all(&mailbox).first().map(|first| first.to_vec()), Some(b"3".to_vec()));
    }
}
