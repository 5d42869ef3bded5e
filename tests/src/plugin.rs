//! The kubectl plugin, as kubectl runs it: found in `PATH`, with a person's kubeconfig.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{binary, repository};

/// The program that kubectl completes the plugin by.
pub const COMPLETION: &str = "kubectl_complete-sessionpool";

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
}

impl Said {
    /// The standard output of a command that succeeded.
    pub fn ok(self) -> Result<String> {
        ensure!(self.code == Some(0), "it ended with {:?}: {}{}", self.code, self.out, self.err);
        Ok(self.out)
    }

    /// The standard error of a command that ended with this code.
    pub fn failed(self, code: i32) -> Result<String> {
        ensure!(
            self.code == Some(code),
            "it ended with {:?}, not {code}: {}{}",
            self.code,
            self.out,
            self.err
        );
        Ok(self.err)
    }

    /// The standard output as JSON, of a command that succeeded.
    pub fn json(self) -> Result<serde_json::Value> {
        let text = self.ok()?;
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }
}

/// A shell with kubectl and the plugin in `PATH`, and nothing of the test's environment.
#[derive(Debug)]
pub struct Shell {
    path: OsString,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
    home: TempDir,
}

impl Shell {
    /// Of somebody with a kubeconfig, in a namespace.
    ///
    /// # Errors
    /// When kubectl or the plugin is not built; the message says how.
    pub async fn new(kubeconfig: &Path, namespace: &str) -> Result<Self> {
        let plugin = binary("kubectl-sessionpool")?;
        let tools = Command::new(repository().join("tests/cluster/tools.sh")).arg("kubectl").output().await?;
        ensure!(tools.status.success(), "{}", String::from_utf8_lossy(&tools.stderr));
        let tools = PathBuf::from(String::from_utf8(tools.stdout)?.trim());
        let home = tempfile::tempdir()?;
        // Only the plugin of the build folder, and the program that kubectl completes it by.
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin)?;
        std::os::unix::fs::symlink(std::path::absolute(&plugin)?, bin.join("kubectl-sessionpool"))?;
        let script = repository().join("operator/plugin/completion").join(COMPLETION);
        std::os::unix::fs::symlink(std::path::absolute(script)?, bin.join(COMPLETION))?;
        let path = [bin.as_path(), tools.as_path(), Path::new("/usr/bin"), Path::new("/bin")];
        Ok(Self {
            path: std::env::join_paths(path)?,
            kubectl: tools.join("kubectl"),
            kubeconfig: kubeconfig.to_owned(),
            namespace: namespace.to_owned(),
            home,
        })
    }

    /// A command of kubectl's, in the namespace unless the words name another.
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = self.program(&self.kubectl);
        command.args(words);
        command
    }

    /// Any program in this shell.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs kubectl to its end.
    pub async fn kubectl(&self, words: &[&str]) -> Result<Said> {
        Ok(self.command(words).output().await?.into())
    }

    /// Runs `kubectl sessionpool` in the namespace to its end.
    pub async fn run(&self, words: &[&str]) -> Result<Said> {
        let place = ["-n", self.namespace.as_str()];
        self.kubectl(&[&["sessionpool"], words, &place].concat()).await
    }

    /// The same, started only.
    pub fn start(&self, words: &[&str]) -> Command {
        let place = ["-n", self.namespace.as_str()];
        self.command(&[&["sessionpool"], words, &place].concat())
    }
}
