//! What goes wrong, in words that say what to do, and the exit code of each.

use std::{error::Error as _, process::ExitCode};

use kube::core::Status;

/// The exit codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    something failed
  2    wrong usage, or a value that the API server refuses
  3    there is no such pool
  4    you may not do that
  5    it took longer than --wait-timeout; what was begun goes on
  6    the cluster can't be reached
  7    check found something wrong
  130  interrupted; what was begun goes on";

/// See the module's text.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for makes no sense, or is refused.
    #[error("{0}")]
    Usage(String),
    /// A pool is not there.
    #[error("{0}")]
    NotFound(String),
    /// A permission is missing.
    #[error("{0}")]
    Forbidden(String),
    /// It takes longer than one would wait.
    #[error("{0}")]
    TimedOut(String),
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(String),
    /// `check` found something; it has said what.
    #[error("{0}")]
    Unhealthy(String),
    /// Ctrl-C.
    #[error("{0}")]
    Interrupted(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
    /// Whoever read the output has gone.
    #[error("the output is closed")]
    Closed,
}

/// A request, for the errors that it may meet.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The verb of permissions.
    pub verb: &'a str,
    /// The resource with its group.
    pub resource: &'a str,
    /// The namespace; none for all.
    pub namespace: Option<&'a str>,
}

impl Asked<'_> {
    fn place(&self) -> String {
        self.namespace.map_or_else(|| "in all namespaces".to_owned(), |name| format!("in namespace {name}"))
    }

    /// Which permission is missing, and who has it.
    pub fn missing(&self) -> String {
        let Self { verb, resource, .. } = self;
        let role = match (*verb, *resource) {
            ("update", "sessionpools.mcpgateway.io/operate") => "admin",
            ("get" | "list" | "watch", "pods/proxy" | "pods/portforward") => "edit",
            ("get" | "list" | "watch", _) => "view",
            _ => "edit",
        };
        format!("you need the verb {verb} on {resource} {}, which Kubernetes' role {role} has", self.place())
    }
}

impl Failure {
    /// What the API server's error means for a request.
    pub fn of(error: &kube::Error, asked: Asked<'_>) -> Self {
        match error {
            kube::Error::Api(status) => Self::refused(status, asked),
            kube::Error::SerdeError(cause) => Self::Other(format!(
                "the answer can't be read: {cause}; is the plugin of the cluster's version? `kubectl sessionpool check` tells"
            )),
            kube::Error::HyperError(_) | kube::Error::Service(_) => Self::unreachable(error),
            other => Self::Other(chain(other)),
        }
    }

    fn refused(status: &Status, asked: Asked<'_>) -> Self {
        let message = status.message.trim().to_owned();
        match status.code {
            401 => Self::Unreachable(format!(
                "the cluster does not know you ({message}): log in again, or choose another --context or --user"
            )),
            // The policy of the operations says by itself what is missing.
            403 if message.contains("sessionpools/operate") => Self::Forbidden(message),
            403 => Self::Forbidden(format!("{message}: {}", asked.missing())),
            404 if status.details.as_ref().is_none_or(|details| details.kind.is_empty())
                && asked.resource.starts_with("sessionpools") =>
            {
                Self::Other(
                    "this cluster has no SessionPools: install the chart (helm install sessionpool charts/sessionpool), or choose \
                     another --context"
                        .to_owned(),
                )
            }
            404 => Self::NotFound(message),
            400 | 422 => Self::Usage(refusal(status)),
            _ => Self::Other(message),
        }
    }

    /// No answer from the API server.
    pub fn unreachable(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Unreachable(format!(
            "the cluster does not answer: {}; check --context, --kubeconfig and your network",
            chain(error)
        ))
    }

    /// Writes it for people.
    pub fn tell(&self) {
        match self {
            Self::Closed => {}
            Self::Unhealthy(text) | Self::Interrupted(text) => anstream::eprintln!("{text}"),
            other => anstream::eprintln!("error: {other}"),
        }
    }

    /// See [`EXIT_CODES`].
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Forbidden(_) => 4,
            Self::TimedOut(_) => 5,
            Self::Unreachable(_) => 6,
            Self::Unhealthy(_) => 7,
            Self::Interrupted(_) => 130,
            Self::Closed => 0,
        })
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // `kubectl sessionpool logs | head` is no error.
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Other(chain(&error)) }
    }
}

/// What the API server refuses, a line for each field.
fn refusal(status: &Status) -> String {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let mut lines: Vec<String> = causes
        .iter()
        .filter(|cause| !cause.message.is_empty())
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    lines.dedup();
    match lines.as_slice() {
        [] => status.message.trim().to_owned(),
        [line] => format!("the API server refuses {line}"),
        _ => format!("the API server refuses\n  {}", lines.join("\n  ")),
    }
}

/// An error with its causes, on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// Whether a request was refused for want of a permission.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// An API server's error in its own words.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.trim().to_owned(),
        other => other.source().map_or_else(|| other.to_string(), chain),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GET: Asked<'_> =
        Asked { verb: "get", resource: "sessionpools.mcpgateway.io", namespace: Some("team") };

    fn of(status: serde_json::Value) -> Failure {
        Failure::of(&kube::Error::Api(Box::new(serde_json::from_value(status).unwrap())), GET)
    }

    #[test]
    fn a_missing_permission_is_named() {
        let failure = of(json!({"code": 403, "message": "sessionpools is forbidden"}));
        assert!(matches!(failure, Failure::Forbidden(_)));
        let text = failure.to_string();
        assert!(text.contains("verb get on sessionpools.mcpgateway.io in namespace team"), "{text}");
        assert!(text.contains("role view"), "{text}");
    }

    #[test]
    fn a_missing_kind_is_told_from_a_missing_object() {
        assert!(matches!(of(json!({"code": 404, "message": "404 page not found"})), Failure::Other(_)));
        let details = json!({"kind": "sessionpools", "name": "web"});
        let failure = of(json!({"code": 404, "message": "not found", "details": details}));
        assert!(matches!(failure, Failure::NotFound(_)));
    }

    #[test]
    fn refused_fields_are_listed() {
        let causes = json!([
            {"field": "spec.poolMinSize", "message": "must not be greater"},
            {"field": "spec.poolTimeout", "message": "too small"}
        ]);
        let failure = of(json!({"code": 422, "message": "invalid", "details": {"causes": causes}}));
        assert!(failure.to_string().contains("\n  spec.poolTimeout: too small"), "{failure}");
        assert!(matches!(failure, Failure::Usage(_)));
    }
}
