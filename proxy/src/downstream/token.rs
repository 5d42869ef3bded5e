//! The client's `Mcp-Session-Id`: a sealed token that any replica with the key can read, and nobody can make or change.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hkdf, hmac,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::mcp::ProtocolVersion;

/// The longest token, in characters.
pub const MAX_LENGTH: usize = 512;

const LAYOUT: u8 = 2;
const FIXED: usize = 1 + 1 + 16 + 16 + 8 + 18;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Most bytes of capabilities that fit.
const MAX_CAPABILITIES: usize = MAX_LENGTH / 4 * 3 - FIXED - NONCE - TAG;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Names the client session.
    pub id: [u8; 16],
    /// Hash of the principal that it belongs to.
    pub principal: [u8; 16],
    /// The version that the client asked for, or the one that it was offered.
    pub version: ProtocolVersion,
    /// When it was made, in seconds since 1970.
    pub issued: u64,
    /// Where other replicas reach the one that made it, if they can.
    pub home: Option<SocketAddr>,
    /// The client's capabilities, as JSON.
    pub capabilities: Box<str>,
}

/// Seals and opens tokens.
pub struct Sealer {
    key: RandomizedNonceKey,
    principals: hmac::Key,
    pool: String,
}

impl Sealer {
    /// Keys for one pool, derived from its secret.
    ///
    /// # Errors
    /// Never in practice: the lengths are right.
    pub fn new(secret: &[u8; 32], pool: &str) -> Result<Self, Unspecified> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mcpgateway.io session").extract(secret);
        let mut derived = [0; 64];
        root.expand(&[b"token and principal v1"], Length(64))?.fill(&mut derived)?;
        let (token, principal) = derived.split_at(32);
        Ok(Self {
            key: RandomizedNonceKey::new(&AES_256_GCM, token)?,
            principals: hmac::Key::new(hmac::HMAC_SHA256, principal),
            pool: pool.to_owned(),
        })
    }

    /// The key that principals are hashed with.
    pub fn principals(&self) -> &hmac::Key {
        &self.principals
    }

    /// Whether these capabilities fit into a token.
    pub fn fits(capabilities: &str) -> bool {
        capabilities.len() <= MAX_CAPABILITIES
    }

    /// Makes the token.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn seal(&self, claims: &Claims) -> Result<String, Unspecified> {
        let mut text = Vec::with_capacity(FIXED + claims.capabilities.len() + TAG);
        text.push(LAYOUT);
        text.push(claims.version as u8);
        text.extend_from_slice(&claims.id);
        text.extend_from_slice(&claims.principal);
        text.extend_from_slice(&claims.issued.to_le_bytes());
        text.extend_from_slice(&written(claims.home));
        text.extend_from_slice(claims.capabilities.as_bytes());
        let nonce = self.key.seal_in_place_append_tag(Aad::from(&self.pool), &mut text)?;
        let sealed = [&nonce.as_ref()[..], &text].concat();
        Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What a token says, if we made it.
    pub fn open(&self, token: &str) -> Option<Claims> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let mut sealed = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, text) = sealed.split_at_mut_checked(NONCE)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key.open_in_place(nonce, Aad::from(&self.pool), text).ok()?;
        let (fixed, capabilities) = text.split_at_checked(FIXED)?;
        if fixed[0] != LAYOUT {
            return None;
        }
        Some(Claims {
            version: *ProtocolVersion::ALL.get(usize::from(fixed[1]))?,
            id: fixed[2..18].try_into().ok()?,
            principal: fixed[18..34].try_into().ok()?,
            issued: u64::from_le_bytes(fixed[34..42].try_into().ok()?),
            home: read(fixed[42..60].try_into().ok()?),
            capabilities: std::str::from_utf8(capabilities).ok()?.into(),
        })
    }
}

/// An address in 18 bytes; zeros are none.
fn written(home: Option<SocketAddr>) -> [u8; 18] {
    let mut bytes = [0; 18];
    if let Some(home) = home {
        let ip = match home.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        bytes[..16].copy_from_slice(&ip.octets());
        bytes[16..].copy_from_slice(&home.port().to_le_bytes());
    }
    bytes
}

fn read(bytes: [u8; 18]) -> Option<SocketAddr> {
    let [ip @ .., low, high] = bytes;
    let port = u16::from_le_bytes([low, high]);
    (port != 0).then(|| SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), port))
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(capabilities: &str) -> Claims {
        Claims {
            id: [1; 16],
            principal: [2; 16],
            version: ProtocolVersion::V2025_11_25,
            issued: 3,
            home: Some(([10, 0, 0, 4], 9091).into()),
            capabilities: capabilities.into(),
        }
    }

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let sealer = Sealer::new(&[7; 32], "default.a").unwrap();
        let token = sealer.seal(&claims(r#"{"roots":{}}"#)).unwrap();
        assert!(token.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
        assert_eq!(sealer.open(&token), Some(claims(r#"{"roots":{}}"#)));
        assert_ne!(sealer.seal(&claims("{}")).unwrap(), sealer.seal(&claims("{}")).unwrap());

        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            // The last character may hold bits that carry nothing.
            assert!(sealer.open(&other).is_none() || at == token.len() - 1, "changed at {at}");
        }
        assert_eq!(sealer.open(""), None);
        assert_eq!(sealer.open("AAAA"), None);
        assert_eq!(sealer.open(&"A".repeat(4000)), None);
        assert_eq!(Sealer::new(&[8; 32], "default.a").unwrap().open(&token), None);
        assert_eq!(Sealer::new(&[7; 32], "default.b").unwrap().open(&token), None);
    }

    #[test]
    fn keeps_every_home() {
        let homes = ["10.1.2.3:9091", "[2001:db8::1]:65535", "[::1]:1"].map(|home| home.parse().ok());
        for home in homes.into_iter().chain([None]) {
            assert_eq!(read(written(home)), home);
        }
    }

    #[test]
    fn stays_within_its_length() {
        let sealer = Sealer::new(&[7; 32], "default.a").unwrap();
        let longest = "x".repeat(MAX_CAPABILITIES);
        assert!(Sealer::fits(&longest) && !Sealer::fits(&format!("{longest}x")));
        assert!(sealer.seal(&claims(&longest)).unwrap().len() <= MAX_LENGTH);
    }
}
