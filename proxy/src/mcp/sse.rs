//! Server-sent events: a decoder that takes chunks as they come, and the encoder of our own frames.
//!
//! Format: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The last `id` field.
    pub id: Option<Bytes>,
    /// The `data` lines, joined with newlines; none if there was no `data` field.
    pub data: Option<Bytes>,
}

/// An event is larger than allowed.
#[derive(Debug, thiserror::Error)]
#[error("a server-sent event is larger than {0} bytes")]
pub struct EventTooLarge(usize);

/// Splits a byte stream into events.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// Bytes at the start of `buffer` that hold no line end.
    scanned: usize,
    event: Event,
    started: bool,
    limit: usize,
    size: usize,
}

impl Decoder {
    /// A decoder that refuses events larger than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, event: Event::default(), started: false, limit, size: 0 }
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next complete event.
    ///
    /// # Errors
    /// If the event in progress is larger than the limit.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventTooLarge> {
        while let Some(line) = self.line() {
            self.size += line.len();
            if line.is_empty() {
                self.size = 0;
                let event = std::mem::take(&mut self.event);
                if event != Event::default() {
                    return Ok(Some(event));
                }
            } else {
                self.field(&line);
            }
        }
        if self.size + self.buffer.len() > self.limit { Err(EventTooLarge(self.limit)) } else { Ok(None) }
    }

    /// The next line without its end. A lone CR at the end of the buffer may be half of a CRLF: it waits.
    fn line(&mut self) -> Option<Bytes> {
        if !self.started {
            // A byte order mark may precede the stream.
            if b"\xEF\xBB\xBF".starts_with(self.buffer.get(..3.min(self.buffer.len()))?) {
                if self.buffer.len() < 3 {
                    return None;
                }
                self.buffer.advance(3);
            }
            self.started = true;
        }
        let found = self.buffer[self.scanned..].iter().position(|&byte| byte == b'\n' || byte == b'\r');
        let Some(at) = found.map(|at| at + self.scanned) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = match (self.buffer[at], self.buffer.get(at + 1)) {
            (b'\r', None) => {
                self.scanned = at;
                return None;
            }
            (b'\r', Some(b'\n')) => 2,
            _ => 1,
        };
        let line = self.buffer.split_to(at).freeze();
        self.buffer.advance(end);
        self.scanned = 0;
        Some(line)
    }

    fn field(&mut self, line: &Bytes) {
        let colon = line.iter().position(|&byte| byte == b':');
        let name = &line[..colon.unwrap_or(line.len())];
        let value = colon.map_or_else(Bytes::new, |at| {
            let space = usize::from(line.get(at + 1) == Some(&b' '));
            line.slice(at + 1 + space..)
        });
        match name {
            b"data" => {
                self.event.data = Some(match self.event.data.take() {
                    None => value,
                    Some(data) => [&data[..], &value].join(&b'\n').into(),
                });
            }
            b"id" if !value.contains(&0) => self.event.id = Some(value),
            _ => {}
        }
    }
}

/// A `message` event with `data`, which may have several lines.
pub fn encode(data: &[u8]) -> Bytes {
    const HEAD: &[u8] = b"event: message\n";
    let mut frame = BytesMut::with_capacity(HEAD.len() + data.len() + 16);
    frame.put_slice(HEAD);
    for line in data.split(|&byte| byte == b'\n') {
        frame.put_slice(b"data: ");
        frame.put_slice(line);
        frame.put_u8(b'\n');
    }
    frame.put_u8(b'\n');
    frame.freeze()
}

/// A comment, which readers skip: it shows that the stream is alive.
pub const HEARTBEAT: &[u8] = b": \n\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn events(stream: &[u8], chunk: usize) -> Vec<Event> {
        let mut decoder = Decoder::new(1000);
        let mut out = Vec::new();
        for part in stream.chunks(chunk) {
            decoder.push(part);
            while let Some(event) = decoder.next_event().unwrap() {
                out.push(event);
            }
        }
        out
    }

    #[test]
    fn splits_at_any_chunk_size_and_line_end() {
        let stream = b"\xEF\xBB\xBFevent: message\r\nid: 1\r\ndata: {\"a\":\r\ndata:1}\r\n\r\n: ping\n\ndata\n\nid: 2\rdata: x\r\rdata: y\n\n";
        let event = |id: Option<&'static str>, data: &'static str| Event {
            id: id.map(Bytes::from),
            data: Some(Bytes::from(data)),
        };
        let expected =
            vec![event(Some("1"), "{\"a\":\n1}"), event(None, ""), event(Some("2"), "x"), event(None, "y")];
        for chunk in 1..=stream.len() {
            assert_eq!(events(stream, chunk), expected, "chunks of {chunk}");
        }
    }

    #[test]
    fn refuses_events_over_the_limit() {
        let mut decoder = Decoder::new(10);
        decoder.push(b"data: 0123456789");
        assert!(decoder.next_event().is_err());
    }

    #[test]
    fn encodes_what_it_decodes() {
        let frame = encode(b"{\n}");
        assert_eq!(events(&frame, 3)[0].data.as_deref(), Some(&b"{\n}"[..]));
    }
}
