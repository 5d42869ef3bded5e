//! The project's own programs, as the suites start them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Root folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Path of the built program `name`, from `SESSIONPOOL_BIN_DIR` when set, else from `target/debug`.
///
/// # Errors
/// When it isn't there; the message names the command that builds it.
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = env::var_os("SESSIONPOOL_BIN_DIR").map_or_else(default_folder, PathBuf::from);
    let path = folder.join(name);
    ensure!(path.is_file(), "{name} is not in {}: run `cargo build --workspace --bins`", folder.display());
    Ok(path)
}

fn default_folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("debug")
}
