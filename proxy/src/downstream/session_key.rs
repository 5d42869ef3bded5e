//! The durable secret that client sessions are sealed with.

use std::{fs, io, path::Path, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};

/// The key file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionKeyError {
    /// It can't be read.
    #[error("session key file {path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is missing and can't be made.
    #[error("session key file {path} is missing and can't be made; give a path in a writable directory")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not hold a key.
    #[error(
        "session key file {path} must hold 32 random bytes as base64; make one with: openssl rand -base64 32"
    )]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// 32 random bytes.
pub fn random() -> Result<[u8; 32], SessionKeyError> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| SessionKeyError::Random)?;
    Ok(key)
}

/// Reads the key, or makes a file that only its owner can read.
pub fn load_or_create(path: &Path) -> Result<[u8; 32], SessionKeyError> {
    match fs::read_to_string(path) {
        Ok(text) => decode(&text).ok_or_else(|| SessionKeyError::Content { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random()?;
            create(path, &BASE64_STANDARD.encode(key))
                .map_err(|source| SessionKeyError::Create { path: path.into(), source })?;
            Ok(key)
        }
        Err(source) => Err(SessionKeyError::Read { path: path.into(), source }),
    }
}

fn decode(text: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
