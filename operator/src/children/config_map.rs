//! The proxies' configuration.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use crds::{SessionPoolSpec, names};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::Value;

use crate::children::Owner;

/// Fields of the specification that only the operator reads. They stay out of the rendering, or scaling a pool would
/// count as a change of its configuration each time; that there is more than one proxy is told apart.
const FLEET_FIELDS: [&str; 5] = ["replicas", "terminationGracePeriodSeconds", "proxy", "service", "guard"];

/// Bytes of the hash in a revision.
const REVISION_BYTES: usize = 8;

/// The text of `pool.yaml` and what it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendering {
    /// Hash of all in it that a proxy acts on.
    pub revision: String,
    /// The file.
    pub text: String,
}

/// Renders the specification for the proxies. `service_url` is what they dial when no endpoint answers, `deadline` when they
/// end what a drain waits for.
pub fn render(
    owner: &Owner,
    spec: &SessionPoolSpec,
    service_url: Option<&str>,
    deadline: Option<Timestamp>,
) -> Result<Rendering, RenderError> {
    let many = spec.replicas > 1;
    let mut spec = serde_json::to_value(spec).map_err(RenderError::Json)?;
    if let Value::Object(fields) = &mut spec {
        fields.retain(|name, _| !FLEET_FIELDS.contains(&name.as_str()));
    }
    let deadline = deadline.map(|deadline| deadline.to_string());
    let revision = revision(&spec, service_url, deadline.as_deref(), many);
    let mut annotations = BTreeMap::from([(names::CONFIG_REVISION.to_owned(), revision.clone())]);
    if let Some(url) = service_url {
        annotations.insert(names::SERVICE_URL.to_owned(), url.to_owned());
    }
    if many {
        annotations.insert(names::MANY.to_owned(), "true".to_owned());
    }
    if let Some(deadline) = deadline {
        annotations.insert(names::DRAIN_DEADLINE.to_owned(), deadline);
    }
    let metadata = ObjectMeta {
        name: Some(owner.name.clone()),
        namespace: Some(owner.namespace.clone()),
        uid: Some(owner.uid.clone()),
        generation: Some(owner.generation),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    };
    let file = File { api_version: names::API_VERSION, kind: names::KIND, metadata, spec };
    Ok(Rendering { revision, text: serde_yaml::to_string(&file).map_err(RenderError::Yaml)? })
}

/// The `ConfigMap` that holds a rendering.
pub fn build(owner: &Owner, rendering: &Rendering) -> ConfigMap {
    ConfigMap {
        metadata: owner.child(names::config_map(&owner.name)),
        data: Some([(names::CONFIG_FILE.to_owned(), rendering.text.clone())].into()),
        ..ConfigMap::default()
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: Value,
}

fn revision(spec: &Value, service_url: Option<&str>, deadline: Option<&str>, many: bool) -> String {
    let mut text = format!("{spec}\n{}", service_url.unwrap_or_default());
    if let Some(deadline) = deadline {
        text = format!("{text}\n{deadline}");
    }
    if many {
        text.push_str("\nmany");
    }
    let hash = digest(&SHA256, text.as_bytes());
    let head: Vec<String> =
        hash.as_ref().iter().take(REVISION_BYTES).map(|byte| format!("{byte:02x}")).collect();
    head.concat()
}

/// Why a specification could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// It is no JSON object.
    #[error("the specification has no JSON form")]
    Json(#[source] serde_json::Error),
    /// It is no YAML.
    #[error("the specification has no YAML form")]
    Yaml(#[source] serde_yaml::Error),
}
