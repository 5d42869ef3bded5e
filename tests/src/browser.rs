//! A headless Chromium of a test's own.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, OnceCell};

use crate::binary::repository;
use crate::eventually::eventually;
use crate::upstream::node;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running browser; ended when dropped.
#[derive(Debug, Clone)]
pub struct Browser(Arc<Mutex<Driver>>);

#[derive(Debug)]
struct Driver {
    // Both end when the driver's standard input does.
    _child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// A page in a context of its own: no storage is shared with another.
#[derive(Debug, Clone)]
pub struct Page {
    browser: Browser,
    number: u64,
}

/// What a page did beside what it was told to.
#[derive(Debug, Deserialize)]
pub struct Log {
    /// Lines in the console, each with its kind.
    pub console: Vec<String>,
    /// Exceptions that nobody caught.
    pub errors: Vec<String>,
    /// Addresses that were asked for.
    pub requests: Vec<String>,
    /// Size of all files below `/ui` that came.
    pub bytes: usize,
}

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    /// When Chromium or a package is missing and can't be installed.
    pub async fn start() -> Result<Self> {
        static FOLDER: OnceCell<String> = OnceCell::const_new();
        let scripts = repository().join("tests/browser");
        let folder = FOLDER
            .get_or_try_init(|| async {
                let output =
                    Command::new(scripts.join("install.sh")).stderr(Stdio::inherit()).output().await?;
                ensure!(output.status.success(), "tests/browser/install.sh failed");
                anyhow::Ok(String::from_utf8(output.stdout)?.trim().to_owned())
            })
            .await?;
        let (node, _) = node().await?;
        let mut child = Command::new(node)
            .arg(scripts.join("driver.mjs"))
            .arg(format!("{folder}/node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let commands = child.stdin.take().context("no standard input")?;
        let answers = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Self(Arc::new(Mutex::new(Driver { _child: child, commands, answers }))))
    }

    /// Opens a page with options of Playwright's `newContext`.
    ///
    /// # Errors
    /// When the browser does not start; its message is written to standard error.
    pub async fn page(&self, options: Value) -> Result<Page> {
        let opened = self.ask(&json!({"call": "open", "arguments": [options]})).await?;
        Ok(Page { browser: self.clone(), number: opened.as_u64().context("no page")? })
    }

    async fn ask(&self, command: &Value) -> Result<Value> {
        let mut driver = self.0.lock().await;
        driver.commands.write_all(format!("{command}\n").as_bytes()).await?;
        let answer = tokio::time::timeout(PATIENCE, driver.answers.next_line()).await;
        let answer = answer.with_context(|| format!("no answer to {command}"))??;
        let answer: Value = serde_json::from_str(&answer.context("the browser ended")?)?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{command}: {error}");
        }
        Ok(answer["result"].clone())
    }
}

impl Page {
    /// Calls a method of Playwright's `Locator` for what `on` selects, or of its `Page` where `on` is empty.
    ///
    /// # Errors
    /// When Playwright fails it, in its words.
    pub async fn call(&self, on: &str, call: &str, arguments: &[Value]) -> Result<Value> {
        let command = json!({"page": self.number, "on": on, "call": call, "arguments": arguments});
        self.browser.ask(&command).await
    }

    /// Loads an address.
    pub async fn goto(&self, url: &str) -> Result<()> {
        self.call("", "goto", &[json!(url)]).await.map(drop)
    }

    /// Presses what is selected.
    pub async fn click(&self, on: &str) -> Result<()> {
        self.call(on, "click", &[]).await.map(drop)
    }

    /// Puts a text into a field.
    pub async fn fill(&self, on: &str, text: &str) -> Result<()> {
        self.call(on, "fill", &[json!(text)]).await.map(drop)
    }

    /// Presses a key, as `Shift+Tab`.
    pub async fn press(&self, key: &str) -> Result<()> {
        self.call("", "press", &[json!(key)]).await.map(drop)
    }

    /// Types a text where the focus is.
    pub async fn write(&self, text: &str) -> Result<()> {
        self.call("", "type", &[json!(text)]).await.map(drop)
    }

    /// Moves the focus by Tab until it is on what is selected, as somebody without a mouse does.
    ///
    /// # Errors
    /// When it does not come there.
    pub async fn tab_to(&self, on: &str) -> Result<()> {
        for _ in 0..100 {
            if self.call(on, "isFocused", &[]).await? == true {
                return Ok(());
            }
            self.press("Tab").await?;
        }
        bail!("the focus does not reach {on}");
    }

    /// The visible text of the one thing that is selected.
    pub async fn text(&self, on: &str) -> Result<String> {
        let text = self.call(on, "innerText", &[]).await?;
        Ok(text.as_str().context("no text")?.to_owned())
    }

    /// Waits until what is selected shows a text.
    ///
    /// # Errors
    /// What it shows instead.
    pub async fn shows(&self, on: &str, wanted: &str) -> Result<()> {
        eventually(PATIENCE, &format!("{wanted:?} in {on}"), async || {
            let text = self.text(on).await?;
            ensure!(text.contains(wanted), "it shows {text:?}");
            Ok(())
        })
        .await
    }

    /// How many things are selected.
    pub async fn count(&self, on: &str) -> Result<u64> {
        self.call(on, "count", &[]).await?.as_u64().context("no number")
    }

    /// Waits until what is selected is gone.
    pub async fn gone(&self, on: &str) -> Result<()> {
        self.call(on, "waitFor", &[json!({"state": "hidden"})]).await.map(drop)
    }

    /// An attribute of what is selected.
    pub async fn attribute(&self, on: &str, name: &str) -> Result<Option<String>> {
        Ok(self.call(on, "getAttribute", &[json!(name)]).await?.as_str().map(ToOwned::to_owned))
    }

    /// What an expression comes to in the page.
    pub async fn evaluate(&self, expression: &str) -> Result<Value> {
        self.call("", "evaluate", &[json!(expression)]).await
    }

    /// Checks the accessibility of the page as it is.
    ///
    /// # Errors
    /// What axe finds.
    pub async fn is_accessible(&self) -> Result<()> {
        let violations = self.call("", "axe", &[]).await?;
        ensure!(violations.as_array().is_some_and(Vec::is_empty), "{violations:#}");
        Ok(())
    }

    /// Cuts the connection, or restores it.
    pub async fn offline(&self, offline: bool) -> Result<()> {
        self.call("", "offline", &[json!(offline)]).await.map(drop)
    }

    /// What the page did so far.
    pub async fn log(&self) -> Result<Log> {
        Ok(serde_json::from_value(self.call("", "log", &[]).await?)?)
    }
}
