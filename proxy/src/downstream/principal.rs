//! Who a request comes from, as far as it says.

use aws_lc_rs::hmac;
use hyper::{
    HeaderMap,
    header::{self, HeaderName},
};

/// Who a request comes from. Never the credential itself: a keyed hash of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// The request carries no credential.
    Anonymous,
    /// The keyed hash of the request's credential.
    Known([u8; 16]),
}

impl Principal {
    /// The value that a client session's token is bound to.
    pub fn binding(self) -> [u8; 16] {
        match self {
            Self::Anonymous => [0; 16],
            Self::Known(hash) => hash,
        }
    }

    /// Reads the `Authorization` header and the configured identity headers.
    pub fn of(headers: &HeaderMap, identity: &[HeaderName], key: &hmac::Key) -> Self {
        let mut context = hmac::Context::with_key(key);
        let mut found = false;
        // Names and lengths go in, so that no two sets of headers hash alike.
        for name in std::iter::once(&header::AUTHORIZATION).chain(identity) {
            for value in headers.get_all(name) {
                found = true;
                context.update(name.as_str().as_bytes());
                context.update(&[0]);
                context.update(&(value.len() as u64).to_le_bytes());
                context.update(value.as_bytes());
            }
        }
        if !found {
            return Self::Anonymous;
        }
        let tag = context.sign();
        let mut hash = [0; 16];
        hash.copy_from_slice(&tag.as_ref()[..16]);
        Self::Known(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Principal {
        let pair = |&(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        let headers: HeaderMap = pairs.iter().map(pair).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        Principal::of(&headers, &[HeaderName::from_static("x-user"), HeaderName::from_static("x-team")], &key)
    }

    #[test]
    fn credentials_tell_principals_apart() {
        assert_eq!(of(&[]), Principal::Anonymous);
        assert_eq!(of(&[("x-other", "a")]), Principal::Anonymous);
        assert_eq!(of(&[("authorization", "a")]), of(&[("authorization", "a")]));
        let all = [
            of(&[("authorization", "a")]),
            of(&[("authorization", "A")]),
            of(&[("x-user", "a")]),
            of(&[("x-team", "a")]),
            of(&[("x-user", "a"), ("x-team", "b")]),
            of(&[("x-user", "ax-teamb")]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
    }
}
