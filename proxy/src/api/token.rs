//! The token that REST asks for.

use std::{fs, path::PathBuf};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use crds::rest::Problem;

/// A file with a token. It is read at each request, so that a changed one counts at once.
#[derive(Debug, Clone)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// The token in a file.
    ///
    /// # Errors
    /// If there is none to be read.
    pub fn open(path: PathBuf) -> anyhow::Result<Self> {
        let file = Self(path);
        file.read().map_err(anyhow::Error::msg)?;
        Ok(file)
    }

    /// Whether it is this token.
    ///
    /// # Errors
    /// 401 if it is not, 503 if the file can't be read any more.
    pub fn check(&self, token: &str) -> Result<(), Problem> {
        let wanted = self.read().map_err(|error| {
            tracing::error!(error, "REST is closed");
            Problem::unavailable("the file with the token can't be read: see the proxy's log")
        })?;
        // Of their hashes, which have one length and tell nothing of where they differ.
        let hash = |text: &str| digest(&SHA256, text.as_bytes());
        let (given, wanted) = (hash(token), hash(&wanted));
        let same = verify_slices_are_equal(given.as_ref(), wanted.as_ref());
        same.map_err(|_| Problem::unauthenticated("the token is not the one in the file of --api-token-file"))
    }

    fn read(&self) -> Result<String, String> {
        let path = self.0.display();
        let text = fs::read_to_string(&self.0).map_err(|error| format!("{path} can't be read: {error}"))?;
        let token = text.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err(format!("{path} must hold one token: write one with `openssl rand -hex 32`"));
        }
        Ok(token.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_present_token_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(TokenFile::open(path.clone()).is_err());
        fs::write(&path, " \n").unwrap();
        assert!(TokenFile::open(path.clone()).unwrap_err().to_string().contains("openssl rand"));
        fs::write(&path, "first\n").unwrap();
        let token = TokenFile::open(path.clone()).unwrap();
        let status = |given: &str| token.check(given).map_err(|problem| problem.status().as_u16());
        assert_eq!((status("first"), status("firs"), status("")), (Ok(()), Err(401), Err(401)));
        fs::write(&path, "second").unwrap();
        assert_eq!((status("first"), status("second")), (Err(401), Ok(())));
        fs::remove_file(&path).unwrap();
        assert_eq!(status("second"), Err(503));
    }
}
