//! The spans of a request that is traced.

use hyper::StatusCode;

use crate::{
    downstream::client::Halt,
    trace::{CallSpan, RequestSpan},
};

/// Each ends once; what is said later is ignored.
#[derive(Default)]
pub(super) struct Spans {
    pub call: Option<CallSpan>,
    /// The client's, once the stream is its response.
    pub request: Option<RequestSpan>,
}

impl Spans {
    /// The answer is there.
    pub fn answered(&self, answer: &[u8]) {
        if let Some(call) = &self.call {
            call.answered(answer);
        }
        if let Some(request) = &self.request {
            request.answered(answer);
        }
    }

    /// The server gave no answer, for a reason in one word.
    pub fn failed(&self, kind: &'static str) {
        if let Some(call) = &self.call {
            call.failed(kind);
        }
    }

    /// The server answered with an HTTP status, or with something else than MCP.
    pub fn refused(&self, status: StatusCode) {
        if let Some(call) = &self.call {
            if status == StatusCode::OK { call.failed("not_mcp") } else { call.refused(status) }
        }
    }

    /// The answer is not waited for.
    pub fn halted(&self, halt: Halt) {
        self.failed(match halt {
            Halt::Cancelled => "cancelled",
            Halt::Drained => "drained",
        });
    }

    /// The client waits no more, for a reason in one word.
    pub fn leave(&self, why: &'static str) {
        if let Some(request) = &self.request {
            request.failed(why);
        }
    }
}
