//! The reference is what the code says.

use std::fs;

use anyhow::{Result, ensure};
use tests::{docs::reference, repository};

#[tokio::test]
async fn the_reference_is_current() -> Result<()> {
    let mut stale = Vec::new();
    for page in reference::pages().await? {
        let committed = fs::read_to_string(repository().join(&page.path)).unwrap_or_default();
        if committed != page.text {
            let differs = committed.lines().zip(page.text.lines()).find(|(old, new)| old != new);
            stale.push(format!("{}: {differs:?}", page.path.display()));
        }
    }
    ensure!(stale.is_empty(), "run `make docs`:\n{}", stale.join("\n"));
    Ok(())
}
