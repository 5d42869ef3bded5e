//! Replaces single values inside a message and leaves every other byte alone.

use bytes::{Bytes, BytesMut};

/// A value inside a message, and what stands there instead.
pub struct Edit<'a> {
    /// A slice of the message itself.
    pub old: &'a str,
    /// Its replacement, as JSON.
    pub new: &'a str,
}

/// The message with the edits made. Edits are slices of `message` that don't overlap, in any order.
pub fn rewrite(message: &[u8], edits: &mut [Edit<'_>]) -> Bytes {
    edits.sort_unstable_by_key(|edit| edit.old.as_ptr() as usize);
    let growth: usize = edits.iter().map(|edit| edit.new.len()).sum();
    let mut out = BytesMut::with_capacity(message.len() + growth);
    let mut copied = 0;
    for edit in edits {
        let at = (edit.old.as_ptr() as usize).wrapping_sub(message.as_ptr() as usize);
        debug_assert!(at >= copied && at + edit.old.len() <= message.len(), "an edit outside the message");
        let (Some(before), true) = (message.get(copied..at), at + edit.old.len() <= message.len()) else {
            continue;
        };
        out.extend_from_slice(before);
        out.extend_from_slice(edit.new.as_bytes());
        copied = at + edit.old.len();
    }
    out.extend_from_slice(&message[copied..]);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{Message, envelope::Params};

    #[test]
    fn changes_id_and_token_only() {
        let text = br#"{ "x":1.0e2, "params" : {"_meta":{"progressToken" :"t\u00e9","k":[1 ]},"a":null},"id" : 7 ,"jsonrpc":"2.0","method":"m"}"#;
        let Message::Request { id, params, .. } = Message::parse(text).unwrap() else { panic!() };
        let token = Params::parse(params).meta.unwrap().progress_token.unwrap().get();
        let out = rewrite(text, &mut [Edit { old: id, new: "12" }, Edit { old: token, new: "13" }]);
        let expected = br#"{ "x":1.0e2, "params" : {"_meta":{"progressToken" :13,"k":[1 ]},"a":null},"id" : 12 ,"jsonrpc":"2.0","method":"m"}"#;
        assert_eq!(out, &expected[..]);
    }
}
