//! The fields of the definition.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::cell;

/// Fields that hold a type of Kubernetes' own, and where that is explained.
const KUBERNETES: [(&str, &str); 6] = [
    ("env", "EnvVar"),
    ("resources", "ResourceRequirements"),
    ("imagePullSecrets", "LocalObjectReference"),
    ("tokenSecretRef", "SecretKeySelector"),
    ("bearerTokenSecretRef", "SecretKeySelector"),
    ("caConfigMapRef", "ConfigMapKeySelector"),
];

const HEAD: &str = "# SessionPool

<!-- Made by `make docs` from the definition. -->

`mcpgateway.io/v1alpha1`, short name `spool`. `kubectl explain sessionpool.spec` tells the same. What of it this version refuses:
[NotSupported](../troubleshooting.md#notsupported).
";

/// The page.
pub(super) fn page() -> Result<String> {
    let definition = crds::schema::json()?;
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let fields = |part: &str| -> Result<String> {
        let mut rows = String::new();
        walk("", &schema["properties"][part], &mut rows).with_context(|| format!("{part} has no fields"))?;
        Ok(rows)
    };
    let mut rules = String::new();
    list_rules("", schema, &mut rules)?;
    let mut columns = String::new();
    for column in version["additionalPrinterColumns"].as_array().into_iter().flatten() {
        let text = |name: &str| column[name].as_str().unwrap_or_default();
        let wide = if column["priority"] == 1 { "`-o wide`" } else { "" };
        let (name, path, text) = (text("name"), cell(text("jsonPath")), cell(text("description")));
        writeln!(columns, "| {name} | `{path}` | {wide} | {text} |")?;
    }
    Ok(format!(
        "{HEAD}
## spec

| field | type | default | |
|---|---|---|---|
{}
## Rules

What the API server, and a proxy that reads a file, refuse with these words:

{rules}
## status

| field | type | default | |
|---|---|---|---|
{}
## Columns

`kubectl get sessionpools` shows:

| column | from | | |
|---|---|---|---|
{columns}",
        fields("spec")?,
        fields("status")?
    ))
}

/// One row for each field below a schema, and for those below it.
fn walk(path: &str, schema: &Value, rows: &mut String) -> Option<()> {
    let required = schema["required"].as_array();
    for (name, field) in schema["properties"].as_object()? {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let is_required = required.is_some_and(|required| required.iter().any(|other| other == name));
        let described = Described::of(field);
        let default = match described.default {
            _ if is_required => "required".to_owned(),
            Some(default) => cell(default),
            None => field.get("default").map(|default| format!("`{default}`")).unwrap_or_default(),
        };
        let mut text = cell(described.text);
        if let Some(example) = described.example.filter(|example| *example != "see the fields") {
            text = format!("{text} Example: `{}`", cell(example.trim_matches(['<', '>'])));
        }
        writeln!(rows, "| `{path}` | {} | {default} | {text} |", kind(name, field)).ok()?;
        if KUBERNETES.iter().any(|(kubernetes, _)| kubernetes == name) || name == "conditions" {
            continue;
        }
        let (nested, path) = match field.get("items") {
            Some(items) => (items, format!("{path}[]")),
            None => (field, path),
        };
        walk(&path, nested, rows);
    }
    Some(())
}

/// A description: what it is, `Default: …`, `Example: …`.
struct Described<'a> {
    text: &'a str,
    default: Option<&'a str>,
    example: Option<&'a str>,
}

impl<'a> Described<'a> {
    fn of(field: &'a Value) -> Self {
        let all = field["description"].as_str().unwrap_or_default();
        let (rest, example) = split(all, "Example: ");
        let (text, default) = split(rest, "Default: ");
        Self { text: text.trim(), default, example }
    }
}

fn split<'a>(text: &'a str, mark: &str) -> (&'a str, Option<&'a str>) {
    match text.rsplit_once(mark) {
        Some((before, after)) => (before, Some(after.trim().trim_end_matches('.'))),
        None => (text, None),
    }
}

/// A field's type, with what its values are bound to.
fn kind(name: &str, field: &Value) -> String {
    if let Some((_, kubernetes)) = KUBERNETES.iter().find(|(kubernetes, _)| *kubernetes == name) {
        let many = if field["type"] == "array" { "list of " } else { "" };
        return format!("{many}{kubernetes}");
    }
    if let Some(values) = field["enum"].as_array() {
        let values = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`"));
        return values.collect::<Vec<_>>().join(", ");
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "integer or percentage".to_owned();
    }
    match field["type"].as_str().unwrap_or_default() {
        "array" => format!("list of {}", kind("", &field["items"])),
        "integer" => match (field["minimum"].as_i64(), field["maximum"].as_i64()) {
            (Some(least), Some(most)) => format!("integer, {least} to {most}"),
            _ => "integer".to_owned(),
        },
        "object" if field.get("additionalProperties").is_some() => "map".to_owned(),
        other => other.to_owned(),
    }
}

/// The messages of the rules at and below a schema.
fn list_rules(path: &str, schema: &Value, out: &mut String) -> std::fmt::Result {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if let Some(message) = rule["message"].as_str() {
            let at = if path.is_empty() { "the object" } else { path };
            writeln!(out, "- `{at}`: {}", cell(message).replace('*', "\\*"))?;
        }
    }
    let fields = schema["properties"].as_object().into_iter().flat_map(Map::iter);
    for (name, field) in fields {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        list_rules(&path, field, out)?;
        list_rules(&format!("{path}[]"), &field["items"], out)?;
    }
    Ok(())
}
