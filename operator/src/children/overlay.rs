//! `spec.proxy.podTemplate`: a person's changes to the pod that the operator builds.

use std::collections::BTreeMap;

use k8s_openapi::{DeepMerge, api::core::v1::PodTemplateSpec};
use serde_json::Value;

/// Merges an overlay into a pod template as a strategic merge patch does: maps and named lists (containers, volumes,
/// env, ...) are merged, other values replaced. `fixed` are the labels that must stay what they are.
pub fn merge(
    template: &mut PodTemplateSpec,
    overlay: &Value,
    fixed: &BTreeMap<String, String>,
) -> Result<(), OverlayError> {
    let overlay = parse(overlay)?;
    let labels = overlay.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    if let Some((label, _)) = fixed.iter().find(|(label, value)| {
        labels.and_then(|labels| labels.get(*label)).is_some_and(|wanted| wanted != *value)
    }) {
        return Err(OverlayError::Label(label.clone()));
    }
    let spec = overlay.spec.as_ref();
    let containers = spec.map(|spec| {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
            .any(|container| container.name.is_empty())
    });
    if containers == Some(true) {
        return Err(OverlayError::Unnamed);
    }
    template.merge_from(overlay);
    Ok(())
}

/// Reads an overlay strictly: an unknown field or a null is an error that names its path.
fn parse(overlay: &Value) -> Result<PodTemplateSpec, OverlayError> {
    if let Some(path) = null(overlay, "podTemplate") {
        return Err(OverlayError::Null(path));
    }
    let mut unknown = Vec::new();
    // A path shows each optional field on its way as a question mark.
    let mut note = |path: serde_ignored::Path| unknown.push(path.to_string().replace(".?", ""));
    let template = serde_path_to_error::deserialize(serde_ignored::Deserializer::new(overlay, &mut note))
        .map_err(|error| OverlayError::Type { path: error.path().to_string(), source: error.into_inner() })?;
    match unknown.into_iter().next() {
        Some(path) => Err(OverlayError::Unknown(path)),
        None => Ok(template),
    }
}

fn null(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Null => Some(path.to_owned()),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, value)| null(value, &format!("{path}.{name}")))
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, value)| null(value, &format!("{path}[{index}]")))
        }
        _ => None,
    }
}

/// Why an overlay can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A field that pods do not have.
    #[error("spec.proxy.podTemplate.{0} is no field of a pod template: remove it or correct its name")]
    Unknown(String),
    /// A value of the wrong type.
    #[error("spec.proxy.podTemplate.{path} has the wrong type: {source}")]
    Type {
        /// Where.
        path: String,
        /// What was expected.
        source: serde_json::Error,
    },
    /// A null, which would remove a field.
    #[error("spec.proxy.{0} is null: an overlay sets fields, it can't remove them")]
    Null(String),
    /// A container without a name.
    #[error(
        "a container of spec.proxy.podTemplate has no name: give the name of the container that it changes"
    )]
    Unnamed,
    /// A label by which the pool finds its pods.
    #[error("spec.proxy.podTemplate.metadata.labels must not change {0}: the pool finds its pods by it")]
    Label(String),
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container, PodSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    use super::*;

    fn base() -> PodTemplateSpec {
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some([("app".to_owned(), "pool".to_owned())].into()),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                containers: vec![Container {
                    name: "proxy".into(),
                    image: Some("proxy:1".into()),
                    ..Container::default()
                }],
                ..PodSpec::default()
            }),
        }
    }

    fn merged(overlay: &Value) -> Result<PodTemplateSpec, String> {
        let mut template = base();
        let fixed = [("app".to_owned(), "pool".to_owned())].into();
        merge(&mut template, overlay, &fixed).map_err(|error| error.to_string())?;
        Ok(template)
    }

    #[test]
    fn named_lists_are_merged() {
        let template = merged(&json!({
            "metadata": {"annotations": {"team": "agents"}},
            "spec": {
                "priorityClassName": "high",
                "containers": [{"name": "proxy", "env": [{"name": "A", "value": "1"}]}, {"name": "other", "image": "o:1"}]
            }
        }))
        .unwrap();
        let spec = template.spec.unwrap();
        assert_eq!(spec.priority_class_name.as_deref(), Some("high"));
        assert_eq!(spec.containers.len(), 2);
        assert_eq!(spec.containers[0].image.as_deref(), Some("proxy:1"));
        assert_eq!(spec.containers[0].env.as_ref().unwrap()[0].name, "A");
        assert_eq!(template.metadata.unwrap().labels.unwrap()["app"], "pool");
    }

    #[test]
    fn wrong_overlays_are_named() {
        for (overlay, words) in [
            (json!({"spec": {"priorityClass": "high"}}), "podTemplate.spec.priorityClass is no field"),
            (
                json!({"spec": {"containers": [{"name": "proxy", "ports": [{"port": 1}]}]}}),
                "spec.containers.0.ports.0.port",
            ),
            (json!({"spec": {"hostNetwork": "yes"}}), "podTemplate.spec.hostNetwork has the wrong type"),
            (json!({"spec": {"nodeName": null}}), "podTemplate.spec.nodeName is null"),
            (json!({"spec": {"containers": [{"image": "x"}]}}), "has no name"),
            (json!({"metadata": {"labels": {"app": "else"}}}), "must not change app"),
        ] {
            let error = merged(&overlay).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
