//! What an object comes to, apart from what others may change in it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::Value;

/// What the API server adds to an object's metadata.
const SERVERS_OWN: [&str; 3] = ["resourceVersion", "managedFields", "generation"];
/// Annotations that Kubernetes' own controllers write on children.
const CONTROLLERS_OWN: [&str; 1] = ["deployment.kubernetes.io/revision"];

/// A hash of an object without its status and what the cluster itself writes.
pub fn fingerprint<K: Serialize>(object: &K) -> u64 {
    let mut hasher = DefaultHasher::new();
    // An object that can't be written down is never found again, and so is applied each time.
    let mut value = serde_json::to_value(object).unwrap_or(Value::Null);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !SERVERS_OWN.contains(&name.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !CONTROLLERS_OWN.contains(&name.as_str()));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
