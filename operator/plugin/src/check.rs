//! `check`: is the installation healthy? Each finding that is none too good comes with what mends it.

mod definition;
mod leader;
mod monitors;
pub mod operator;
mod policies;
mod pools;
mod rights;

use anstyle::AnsiColor;
use serde::Serialize;

use crate::{
    args::{Printed, Target},
    connect::Cluster,
    failure::Failure,
    output::{count, lines, paint, print, shade},
};

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Only pools of the namespace, since it was named.
    named: bool,
    /// Pools of all namespaces, which is an error if they may not be listed.
    everywhere: bool,
    /// Where the operator is; none looks everywhere.
    operator_namespace: Option<String>,
}

impl Scope {
    /// What the command line asks for.
    pub fn of(target: &Target, everywhere: bool, operator_namespace: Option<String>) -> Self {
        Self { named: target.namespace.is_some(), everywhere, operator_namespace }
    }
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, and not as it should.
    Warning,
    /// It does not work.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is about.
    pub about: String,
    /// What was found.
    pub message: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn new(level: Level, about: &str, message: impl Into<String>, remedy: Option<String>) -> Self {
        Self { level, about: about.to_owned(), message: message.into(), remedy }
    }

    fn ok(about: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Ok, about, message, None)
    }

    fn note(about: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Note, about, message, None)
    }

    fn warning(about: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Level::Warning, about, message, Some(remedy.into()))
    }

    fn error(about: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Level::Error, about, message, Some(remedy.into()))
    }

    fn text(&self) -> String {
        let (word, color) = match self.level {
            Level::Ok => ("ok", AnsiColor::Green),
            Level::Note => ("note", AnsiColor::Cyan),
            Level::Warning => ("warning", AnsiColor::Yellow),
            Level::Error => ("error", AnsiColor::Red),
        };
        let level = paint(shade(color), &format!("{word:<8}"));
        let remedy = self.remedy.iter().flat_map(|remedy| remedy.lines());
        let remedy = lines(remedy.map(|line| format!("{:<26}-> {line}", "")));
        format!("{level} {:<16} {}\n{remedy}", self.about, self.message)
    }
}

/// Looks at everything, and fails if something is wrong.
///
/// # Errors
/// [`Failure::Unhealthy`] if something is wrong; anything else if the cluster can't be asked at all.
pub async fn run(cluster: &Cluster, scope: &Scope, printed: Printed) -> Result<(), Failure> {
    let mut findings = vec![definition::server(cluster).await?];
    let (definition, served) = definition::look(cluster).await?;
    findings.extend(definition);
    let (operators, fleet) = operator::look(cluster, scope.operator_namespace.as_deref()).await?;
    findings.extend(operators);
    let mut sidecars = false;
    if served {
        let (pools, injected) = pools::look(cluster, scope, &fleet).await?;
        findings.extend(pools);
        sidecars = injected;
    }
    let (policies, rights, monitors) =
        tokio::join!(policies::look(cluster, sidecars), rights::look(cluster), monitors::look(cluster));
    findings.extend(policies);
    findings.extend(rights);
    findings.extend(monitors);
    print(printed.output, &findings, |findings| findings.iter().map(Finding::text).collect())?;
    let wrong = findings.iter().filter(|finding| finding.level >= Level::Warning).count();
    match wrong {
        0 => Ok(()),
        wrong => Err(Failure::Unhealthy(format!("{} wrong", count(wrong as u64, "thing is", "things are")))),
    }
}
