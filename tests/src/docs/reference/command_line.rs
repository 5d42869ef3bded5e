//! What the programs say to `--help`.

use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::binary::binary;

const HEAD: &str = "# Command lines

<!-- Made by `make docs` from what the programs say to `--help`. -->
";

/// The programs, and what else is to be known of each.
const PROGRAMS: [(&str, &str); 3] = [
    (
        "sessionpool-proxy",
        "`POOL_MIN_SIZE`, `POOL_MAX_SIZE`, `POOL_TIMEOUT`, `POOL_RECYCLE_SECONDS` and `POOL_PRE_PING` apply where the file says \
         nothing; `RUST_LOG` filters the log (default: info). On SIGHUP the file is read again, on SIGTERM running requests are \
         finished; a second one ends at once. Exit code 0: ended as asked, or `--check` found nothing wrong; 78: the file is wrong; \
         1: it can't start; 2: the command line is wrong.",
    ),
    ("sessionpool-operator", "The chart sets all of it: see its values."),
    ("kubectl-sessionpool", "Called `kubectl sessionpool` when it is in `PATH`."),
];

/// The page.
pub(super) async fn page() -> Result<String> {
    let mut parts = vec![HEAD.to_owned()];
    for (program, remark) in PROGRAMS {
        let help = help(program, &[]).await?;
        parts.push(format!("\n## {program}\n\n```text\n{help}\n```\n\n{remark}\n"));
        for command in commands(&help) {
            let help = self::help(program, &[command]).await?;
            parts.push(format!("\n### {program} {command}\n\n```text\n{help}\n```\n"));
        }
    }
    Ok(parts.concat())
}

async fn help(program: &str, command: &[&str]) -> Result<String> {
    let mut process = Command::new(binary(program)?);
    process.args(command).arg("--help").env_clear().stdin(Stdio::null()).kill_on_drop(true);
    let output = process.output().await?;
    ensure!(output.status.success(), "{program} {command:?} --help: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned())
}

/// The commands that a help lists.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next())
}
