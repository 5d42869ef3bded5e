//! Real clients that call without a pause while something happens to what they call.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use tests::{repository, upstream};

use crate::field::Field;

/// Longest time that they are kept at it.
const PATIENCE: Duration = Duration::from_secs(400);

/// The file that clients call until, made when this is dropped: whatever becomes of the test, they end.
struct Stop(PathBuf);

impl Drop for Stop {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(&self.0, "") {
            eprintln!("the clients go on: {}: {error}", self.0.display());
        }
    }
}

/// Clients of the Python and the TypeScript package.
pub struct Steady<'a> {
    field: &'a Field,
    stop: Stop,
    commands: [Vec<String>; 2],
}

impl<'a> Steady<'a> {
    /// Clients of `url`, not yet started.
    pub async fn new(field: &'a Field, url: &str) -> Result<Self> {
        let stop = Stop(std::env::temp_dir().join(format!("sessionpool-{}.stop", field.namespace)));
        let file = stop.0.display().to_string();
        let script = |path: &str| repository().join("tests/upstreams").join(path).display().to_string();
        let (python, (node, modules)) = (upstream::python().await?, upstream::node().await?);
        let modules = modules.display().to_string();
        let commands = [
            vec![python, script("python/steady.py"), url.to_owned(), file.clone()],
            vec![node, script("typescript/steady.mjs"), modules, url.to_owned(), file],
        ];
        Ok(Self { field, stop, commands })
    }

    /// Has them call until `disturbing` is done. Fails if one of their calls did.
    pub async fn without_failure(self, disturbing: impl Future<Output = Result<()>>) -> Result<()> {
        let Self { field, stop, commands } = self;
        let file = stop.0.clone();
        let disturbing = async {
            let done = disturbing.await;
            drop(stop);
            done
        };
        let [python, typescript] =
            commands.each_ref().map(|command| command.iter().map(String::as_str).collect::<Vec<_>>());
        let (python, typescript, ()) = tokio::time::timeout(PATIENCE, async {
            tokio::try_join!(field.run(&python), field.run(&typescript), disturbing)
        })
        .await??;
        std::fs::remove_file(&file)?;
        println!("Python: {}; TypeScript: {}", python.trim(), typescript.trim());
        ensure!(
            python.contains(", 0 failures") && typescript.contains(", 0 failures"),
            "{python} {typescript}"
        );
        Ok(())
    }
}
