//! The session keys in force: one seals, and what was sealed or proved with another of them is good, too. So a key can
//! be rotated while clients and peers go on.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use aws_lc_rs::{error::Unspecified, hmac};
use hyper::{
    HeaderMap, Method,
    header::{HeaderName, HeaderValue},
};

use super::{
    principal::Principal,
    session_key::{self, Secrets},
    token::{Claims, Sealer},
};
use crate::peers::Prover;

/// The files are looked at this often.
const PERIOD: Duration = Duration::from_secs(1);

/// What one secret is good for.
pub struct TokenKey {
    sealer: Sealer,
    prover: Prover,
}

impl TokenKey {
    fn new(secret: &[u8; 32], pool: &str) -> Result<Arc<Self>, Unspecified> {
        Ok(Arc::new(Self { sealer: Sealer::new(secret, pool)?, prover: Prover::new(secret, pool)? }))
    }

    /// Whose request it is, as tokens under this key say it.
    pub fn principal(&self, headers: &HeaderMap, identity: &[HeaderName]) -> Principal {
        Principal::of(headers, identity, self.principals())
    }

    /// The key that principals are hashed with.
    pub fn principals(&self) -> &hmac::Key {
        self.sealer.principals()
    }

    /// Makes a token.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn seal(&self, claims: &Claims) -> Result<String, Unspecified> {
        self.sealer.seal(claims)
    }
}

/// See the module's text.
pub struct Keyring {
    /// The first seals.
    keys: ArcSwap<Vec<Arc<TokenKey>>>,
    pool: String,
}

impl Keyring {
    /// The keys of one pool.
    ///
    /// # Errors
    /// Never in practice: the lengths are right.
    pub fn new(secrets: &Secrets, pool: &str) -> Result<Self, Unspecified> {
        let keys = ArcSwap::from_pointee(derived(secrets, pool)?);
        Ok(Self { keys, pool: pool.to_owned() })
    }

    /// The key for what is new.
    pub fn sealing(&self) -> Arc<TokenKey> {
        Arc::clone(&self.keys.load()[0])
    }

    /// What a token says, and the key that it is under, if it is one of ours.
    pub fn open(&self, token: &str) -> Option<(Claims, Arc<TokenKey>)> {
        self.keys.load().iter().find_map(|key| Some((key.sealer.open(token)?, Arc::clone(key))))
    }

    /// The proof to send to a peer with a request.
    pub fn prove(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<HeaderValue> {
        self.keys.load()[0].prover.prove(method, path, headers)
    }

    /// Whether the proof of a peer's request is good.
    pub fn accepts(&self, method: &Method, path: &str, headers: &HeaderMap) -> bool {
        self.keys.load().iter().any(|key| key.prover.accepts(method, path, headers))
    }

    /// How many keys are good.
    pub fn count(&self) -> usize {
        self.keys.load().len()
    }

    /// Follows the files for ever. What can't be used changes nothing.
    pub async fn follow(self: Arc<Self>, file: PathBuf, mut secrets: Secrets) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(PERIOD).await;
            let path = file.clone();
            let Ok(found) = tokio::task::spawn_blocking(move || session_key::load(&path)).await else {
                continue;
            };
            match found {
                Ok(found) if found == secrets => told.clear(),
                Ok(found) => {
                    let Ok(keys) = derived(&found, &self.pool) else { continue };
                    tracing::info!(keys = keys.len(), "session keys changed");
                    self.keys.store(Arc::new(keys));
                    secrets = found;
                    told.clear();
                }
                Err(error) => {
                    let error = error.to_string();
                    if error != told {
                        tracing::error!(%error, "session keys refused; those in force stay");
                        told = error;
                    }
                }
            }
        }
    }
}

fn derived(secrets: &Secrets, pool: &str) -> Result<Vec<Arc<TokenKey>>, Unspecified> {
    secrets.all().map(|secret| TokenKey::new(secret, pool)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::ProtocolVersion;

    fn keyring(seals: u8, also: &[u8]) -> Keyring {
        let secrets = Secrets::new([seals; 32], also.iter().map(|byte| [*byte; 32]).collect());
        Keyring::new(&secrets, "default.a").unwrap()
    }

    #[test]
    fn every_step_of_a_rotation_understands_its_neighbours() {
        // The next key is made known, takes over, and the old one goes.
        let steps = [keyring(1, &[]), keyring(1, &[2]), keyring(2, &[1]), keyring(2, &[])];
        let claims = |principal: [u8; 16]| Claims {
            id: [1; 16],
            principal,
            version: ProtocolVersion::LATEST,
            issued: 0,
            home: None,
            capabilities: "{}".into(),
        };
        let headers: HeaderMap =
            [(hyper::header::AUTHORIZATION, HeaderValue::from_static("Bearer a"))].into_iter().collect();
        for pair in steps.windows(2) {
            for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let key = from.sealing();
                let token = key.seal(&claims(key.principal(&headers, &[]).binding())).unwrap();
                let (opened, key) = to.open(&token).unwrap();
                assert_eq!(key.principal(&headers, &[]).binding(), opened.principal);
                assert_ne!(key.principal(&HeaderMap::new(), &[]).binding(), opened.principal);
                let mut proved = HeaderMap::new();
                proved.insert(crate::peers::PROOF, from.prove(&Method::POST, "/mcp", &proved).unwrap());
                assert!(to.accepts(&Method::POST, "/mcp", &proved));
            }
        }
        let token = steps[0].sealing().seal(&claims([0; 16])).unwrap();
        assert!(steps[3].open(&token).is_none());
    }
}
