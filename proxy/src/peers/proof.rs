//! How a proxy shows a peer that it is one: it knows the session key.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{constant_time::verify_slices_are_equal, error::Unspecified, hkdf, hmac};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::{HeaderMap, Method, header::HeaderValue};

use crate::mcp;

/// Carries the proof: seconds since 1970, a dot, and the MAC in base64.
pub const HEADER: &str = "x-sessionpool-peer";

/// How old a proof may be, and how far clocks may differ.
const WINDOW: Duration = Duration::from_secs(60);

/// Makes proofs and checks them.
pub struct Prover {
    key: hmac::Key,
}

impl Prover {
    /// The proofs of one pool.
    ///
    /// # Errors
    /// Never in practice: the lengths are right.
    pub fn new(secret: &[u8; 32], pool: &str) -> Result<Self, Unspecified> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mcpgateway.io peers").extract(secret);
        let info = [b"proof v1 ", pool.as_bytes()];
        Ok(Self { key: root.expand(&info, hmac::HMAC_SHA256)?.into() })
    }

    /// The proof to send with a request.
    pub fn prove(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<HeaderValue> {
        let now = now();
        let mac = BASE64_URL_SAFE_NO_PAD.encode(self.mac(now, method, path, headers));
        HeaderValue::try_from(format!("{now}.{mac}")).ok()
    }

    /// Whether a request's proof is good.
    pub fn accepts(&self, method: &Method, path: &str, headers: &HeaderMap) -> bool {
        self.check(method, path, headers).is_some()
    }

    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<()> {
        let (time, mac) = headers.get(HEADER)?.to_str().ok()?.split_once('.')?;
        let time = time.parse::<u64>().ok().filter(|time| now().abs_diff(*time) <= WINDOW.as_secs())?;
        let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).ok()?;
        verify_slices_are_equal(self.mac(time, method, path, headers).as_ref(), &mac).ok()
    }

    fn mac(&self, time: u64, method: &Method, path: &str, headers: &HeaderMap) -> hmac::Tag {
        let mut mac = hmac::Context::with_key(&self.key);
        let session = headers.get(mcp::SESSION_ID).map_or(&[][..], HeaderValue::as_bytes);
        // No part can hold a line feed.
        for part in [time.to_string().as_bytes(), method.as_str().as_bytes(), path.as_bytes(), session] {
            mac.update(part);
            mac.update(b"\n");
        }
        mac.sign()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(session: &'static str) -> HeaderMap {
        [(mcp::SESSION_ID.parse().unwrap(), HeaderValue::from_static(session))].into_iter().collect()
    }

    #[test]
    fn accepts_what_it_proved_and_nothing_else() {
        let prover = Prover::new(&[7; 32], "default.a").unwrap();
        let mut request = headers("one");
        assert!(!prover.accepts(&Method::POST, "/mcp", &request), "without a proof");
        let proof = prover.prove(&Method::POST, "/mcp", &request).unwrap();
        request.insert(HEADER, proof.clone());
        assert!(prover.accepts(&Method::POST, "/mcp", &request));
        assert!(!prover.accepts(&Method::GET, "/mcp", &request));
        assert!(!prover.accepts(&Method::POST, "/other", &request));
        let mut other = headers("two");
        other.insert(HEADER, proof);
        assert!(!prover.accepts(&Method::POST, "/mcp", &other));
        assert!(!Prover::new(&[8; 32], "default.a").unwrap().accepts(&Method::POST, "/mcp", &request));
        assert!(!Prover::new(&[7; 32], "default.b").unwrap().accepts(&Method::POST, "/mcp", &request));
        for bad in ["", ".", "1.", "x.y"] {
            request.insert(HEADER, HeaderValue::from_static(bad));
            assert!(!prover.accepts(&Method::POST, "/mcp", &request), "{bad}");
        }
    }

    #[test]
    fn a_proof_is_good_for_a_minute() {
        let prover = Prover::new(&[7; 32], "default.a").unwrap();
        for (age, good) in [(0, true), (55, true), (65, false)] {
            let mut request = headers("one");
            let time = now() - age;
            let mac = BASE64_URL_SAFE_NO_PAD.encode(prover.mac(time, &Method::GET, "/mcp", &request));
            request.insert(HEADER, format!("{time}.{mac}").parse().unwrap());
            assert_eq!(prover.accepts(&Method::GET, "/mcp", &request), good, "{age} s");
        }
    }
}
