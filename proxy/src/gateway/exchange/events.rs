//! What a client gets of the events on its request's stream.

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde_json::value::RawValue;

use super::{
    super::{claim, control},
    Inner,
};
use crate::{
    mcp::{
        Message,
        envelope::Params,
        logging,
        rewrite::{Edit, rewrite},
        sse::{self, Event},
    },
    pool::PinReason,
};

impl Inner {
    /// What the client gets of an event.
    pub(super) fn on_event(&mut self, event: Event) -> Option<Bytes> {
        if let Some(id) = event.id {
            self.last_event = HeaderValue::from_maybe_shared(id).ok();
            self.resumes = 0;
        }
        let data = event.data.filter(|data| !data.is_empty())?;
        match Message::parse(&data) {
            Ok(Message::Response { id, .. }) if id == self.upstream_id && !self.answered => {
                self.spans.answered(&data);
                self.answer();
                Some(sse::encode(&rewrite(&data, &mut [Edit { old: id, new: &self.request.id }])))
            }
            Ok(Message::Notification { method, params }) if method == "notifications/progress" => {
                let token = Params::parse(params).progress_token?.get();
                let ours = self.token.as_deref().filter(|_| token == self.upstream_id)?;
                Some(sse::encode(&rewrite(&data, &mut [Edit { old: token, new: ours }])))
            }
            Ok(Message::Notification { method, params }) if method == "notifications/message" => {
                let severity = Params::parse(params).level.and_then(|level| logging::severity(&level));
                severity.is_none_or(|severity| self.client.wants(severity)).then(|| sse::encode(&data))
            }
            Ok(Message::Notification { method, params }) => self.pass_on(&data, &method, params),
            Ok(Message::Request { .. }) if self.ties.own => Some(sse::encode(&data)),
            Ok(Message::Request { id, method, params }) => self.ask(&data, id, &method, params),
            Ok(Message::Response { .. }) | Err(_) => {
                tracing::debug!("an event on a request's stream that is not its own");
                None
            }
        }
    }

    /// Passes on a notification that came with the call.
    fn pass_on(&mut self, data: &[u8], method: &str, params: Option<&RawValue>) -> Option<Bytes> {
        if self.ties.own {
            return Some(sse::encode(data));
        }
        match method {
            "notifications/cancelled" => {
                let theirs = Params::parse(params).request_id?.get();
                let question = self.client.questions.lock().withdraw(&self.request.session, theirs)?;
                Some(sse::encode(&rewrite(data, &mut [Edit { old: theirs, new: &question.id }])))
            }
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => {
                self.pin();
                Some(sse::encode(data))
            }
            _ => Some(sse::encode(data)),
        }
    }

    /// The call has changed what its session offers: the client stays there, and nobody else comes.
    fn pin(&mut self) {
        let (Some(lease), Some(key)) = (&mut self.lease, self.own_key.take()) else { return };
        if lease.pin(&key, PinReason::ListChanged) {
            claim::take(lease, &self.client, key);
        }
    }

    /// Asks the client what the server asks during its call, under an id of our own.
    fn ask(&self, data: &[u8], id: &str, method: &str, params: Option<&RawValue>) -> Option<Bytes> {
        if matches!(method, "ping" | "roots/list") {
            control::refuse(&self.request.session, id, method);
            return None;
        }
        let token = Params::parse(params).meta.and_then(|meta| meta.progress_token).map(RawValue::get);
        let ours =
            self.client.questions.lock().ask(&self.request.session, self.request.upstream_id, id, token);
        let mut edits = vec![Edit { old: id, new: &ours }];
        edits.extend(token.map(|token| Edit { old: token, new: &ours }));
        Some(sse::encode(&rewrite(data, &mut edits)))
    }
}
