//! Explicit nulls mean unset, as the API server reads them.

use serde_json::Value;

/// Drops the fields that are null and that the schema knows.
pub(super) fn drop(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let of = |name: &str| {
                let listed = &schema["properties"][name];
                if listed.is_object() { listed } else { &schema["additionalProperties"] }
            };
            fields.retain(|name, value| !(value.is_null() && of(name).is_object()));
            for (name, value) in fields {
                drop(of(name), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop(&schema["items"], item)),
        _ => {}
    }
}
