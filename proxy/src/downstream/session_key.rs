//! The durable secrets that client sessions are sealed with, and their files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

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

/// What the names of files end in whose keys are good, too: the one that is to take over, and the one that did seal.
const ALSO: [&str; 2] = [".next", ".previous"];

/// The secret that seals, and others that are good while one takes over from another.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    seals: [u8; 32],
    also: Vec<[u8; 32]>,
}

impl Secrets {
    /// These.
    pub fn new(seals: [u8; 32], also: Vec<[u8; 32]>) -> Self {
        Self { seals, also }
    }

    /// All, the one that seals first.
    pub fn all(&self) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.seals).chain(&self.also)
    }

    /// One that nobody else knows.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn random() -> Result<Self, SessionKeyError> {
        Ok(Self::new(random()?, Vec::new()))
    }
}

fn random() -> Result<[u8; 32], SessionKeyError> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| SessionKeyError::Random)?;
    Ok(key)
}

/// Reads the key at `path` and those beside it that are good, too.
///
/// # Errors
/// If the first is missing, or one holds no key.
pub fn load(path: &Path) -> Result<Secrets, SessionKeyError> {
    let seals = read(path)?;
    let mut also = Vec::new();
    for ending in ALSO {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        match read(Path::new(&beside)) {
            Ok(key) => also.push(key),
            Err(SessionKeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Secrets::new(seals, also))
}

/// The same, and makes a missing file that only its owner can read.
///
/// # Errors
/// If it can't be made either.
pub fn load_or_create(path: &Path) -> Result<Secrets, SessionKeyError> {
    match load(path) {
        Err(SessionKeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            create(path, &BASE64_STANDARD.encode(random()?))
                .map_err(|source| SessionKeyError::Create { path: path.into(), source })?;
            load(path)
        }
        found => found,
    }
}

fn read(path: &Path) -> Result<[u8; 32], SessionKeyError> {
    let text =
        fs::read_to_string(path).map_err(|source| SessionKeyError::Read { path: path.into(), source })?;
    decode(&text).ok_or_else(|| SessionKeyError::Content { path: path.into() })
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
