//! The reference: pages that are made from what the code says of itself.

mod command_line;
mod metrics;
mod rest;
mod sessionpool;

use std::path::PathBuf;

use anyhow::Result;

use crate::ControlPlane;
use crate::operator::Operator;

/// A page of the reference.
#[derive(Debug)]
pub struct Made {
    /// Its path in the repository.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Every page of the reference. Starts the programs, a proxy among them, and an operator on a control plane.
///
/// # Errors
/// When a program does not start or does not say what is expected of it.
pub async fn pages() -> Result<Vec<Made>> {
    let plane = ControlPlane::start().await?;
    let operator = Operator::on(&plane).await?;
    let made = |name: &str, text: String| Made { path: format!("docs/reference/{name}.md").into(), text };
    Ok(vec![
        made("sessionpool", sessionpool::page()?),
        made("metrics", metrics::page(&plane, &operator).await?),
        made("command-line", command_line::page().await?),
        made("rest", rest::page(&operator.openapi().await?)?),
    ])
}

/// A cell of a table, on one line.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
