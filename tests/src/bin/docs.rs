//! Writes the pages of the reference: `make docs`.

use std::fs;

use anyhow::{Context, Result};
use tests::{docs::reference, repository};

#[tokio::main]
async fn main() -> Result<()> {
    for page in reference::pages().await? {
        let path = repository().join(&page.path);
        fs::write(&path, page.text).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}
