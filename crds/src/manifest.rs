//! Reading a manifest from a file, with all the rules that the API server applies: unknown fields, types, bounds, CEL.

mod bounds;
mod nulls;
mod suggest;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use kube_cel::{CompiledSchema, ValidationError, Validator, compile_schema};
use serde_json::Value;

use crate::{SessionPool, names, schema};

/// The definition and its rules, which take longer to make than a manifest to read.
static DEFINITION: LazyLock<Result<Definition, String>> = LazyLock::new(|| {
    let mut crd = schema::json().map_err(|error| error.to_string())?;
    let root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();
    Ok(Definition { rules: compile_schema(&root), root })
});

struct Definition {
    root: Value,
    rules: CompiledSchema,
}

/// Everything that is wrong with a manifest, one complaint a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct ManifestError {
    complaints: Vec<Complaint>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The field's path; empty for the whole.
    pub field: String,
    /// What to do about it.
    pub message: String,
}

impl ManifestError {
    /// What is wrong.
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { complaints: vec![Complaint { field: field.into(), message: message.into() }] }
    }

    fn lines(&self) -> String {
        let line = |complaint: &Complaint| match complaint.field.as_str() {
            "" => format!("  {}", complaint.message),
            field => format!("  {field}: {}", complaint.message),
        };
        self.complaints.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Reads one SessionPool from YAML (or JSON).
///
/// # Errors
/// If it is no SessionPool that the API server would take; each complaint names its field.
pub fn parse(text: &str) -> Result<SessionPool, ManifestError> {
    let no_yaml = |error: &dyn std::fmt::Display| ManifestError::one("", format!("no YAML: {error}"));
    // By way of YAML's own value, which refuses a field that is given twice.
    let yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| no_yaml(&error))?;
    let mut value = serde_json::to_value(yaml).map_err(|error| no_yaml(&error))?;
    let found = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    for (field, wanted) in [("apiVersion", names::API_VERSION), ("kind", names::KIND)] {
        let found = found(field);
        if found != wanted {
            return Err(ManifestError::one(field, format!("must be {wanted}, not {found:?}")));
        }
    }
    let Definition { root, rules } =
        DEFINITION.as_ref().map_err(|error| ManifestError::one("", error.as_str()))?;
    nulls::drop(root, &mut value);
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let read = serde_path_to_error::Deserializer::new(&value, &mut track);
    let pool: Result<SessionPool, serde_json::Error> =
        serde_ignored::deserialize(read, |path| unknown.push(suggest::normal(&path.to_string())));
    let pool = pool.map_err(|error| {
        let path = track.path().to_string();
        ManifestError::one(if path == "." { String::new() } else { path }, error.to_string())
    })?;
    // The two were read above; the type has no fields for them.
    unknown.retain(|field| field != "apiVersion" && field != "kind");
    let mut complaints: Vec<Complaint> = unknown
        .into_iter()
        .map(|field| Complaint { message: suggest::unknown(root, &field), field })
        .collect();
    bounds::check(root, &value, &mut complaints);
    if pool.metadata.name.is_none() {
        complaints.push(Complaint {
            field: "metadata.name".into(),
            message: "is missing: give the pool a name".into(),
        });
    }
    if complaints.is_empty() {
        complaints = broken(&pool, rules);
    }
    if complaints.is_empty() { Ok(pool) } else { Err(ManifestError { complaints }) }
}

fn broken(pool: &SessionPool, rules: &CompiledSchema) -> Vec<Complaint> {
    let complaint = |error: &ValidationError| Complaint {
        field: error.field_path.trim_start_matches('.').to_owned(),
        message: error.message.clone(),
    };
    let object = match serde_json::to_value(pool) {
        Ok(object) => object,
        Err(error) => return vec![Complaint { field: String::new(), message: error.to_string() }],
    };
    match Validator::new().validate_compiled(rules, &object, None) {
        Ok(()) => Vec::new(),
        Err(broken) => broken.iter().map(complaint).collect(),
    }
}
