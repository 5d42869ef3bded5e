//! The project's pages in Markdown.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::binary::repository;

/// One page.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its path in the repository.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl Page {
    /// Whether it is for users, and its blocks are run or read by the suite.
    pub fn is_checked(&self) -> bool {
        self.path.starts_with("docs") || self.path == Path::new("README.md")
    }
}

/// All pages of the repository, in the order of their paths.
///
/// # Errors
/// When one can't be read.
pub fn all() -> Result<Vec<Page>> {
    let read = |path: PathBuf| -> Result<Page> {
        let text = fs::read_to_string(repository().join(&path))
            .with_context(|| format!("can't read {}", path.display()))?;
        Ok(Page { path, text })
    };
    files("", "md")?.into_iter().map(read).collect()
}

/// The files below a folder of the repository whose names end in `.{extension}`, with their paths in the repository.
///
/// # Errors
/// When a folder can't be read.
pub fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(&repository().join(folder), extension, &mut found)?;
    found.sort();
    found.iter().map(|path| Ok(path.strip_prefix(repository())?.to_owned())).collect()
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                walk(&path, extension, found)?;
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(())
}
