//! The Secret with the key that seals client sessions. It is created once and never read.

use aws_lc_rs::{error::Unspecified, rand};
use base64::{Engine, engine::general_purpose::STANDARD};
use crds::names;
use k8s_openapi::api::core::v1::Secret;

use crate::children::Owner;

/// Length of a key in bytes.
const KEY_BYTES: usize = 32;

/// A Secret with a fresh key.
pub fn build(owner: &Owner) -> Result<Secret, Unspecified> {
    let mut key = [0; KEY_BYTES];
    rand::fill(&mut key)?;
    Ok(Secret {
        metadata: owner.child(names::session_key_secret(&owner.name)),
        type_: Some("Opaque".to_owned()),
        string_data: Some([(names::SESSION_KEY_FILE.to_owned(), STANDARD.encode(key))].into()),
        ..Secret::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_32_bytes_and_its_own() {
        let owner = Owner::example();
        let key =
            |secret: Secret| STANDARD.decode(&secret.string_data.unwrap()[names::SESSION_KEY_FILE]).unwrap();
        let (one, two) = (key(build(&owner).unwrap()), key(build(&owner).unwrap()));
        assert_eq!(one.len(), KEY_BYTES);
        assert_ne!(one, two);
    }
}
