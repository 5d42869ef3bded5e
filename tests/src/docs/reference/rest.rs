//! REST, from the OpenAPI document that the operator serves.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::cell;

const HEAD: &str = "# REST

<!-- Made by `make docs` from the OpenAPI document that an operator serves at `/openapi.json`. -->

[How to use it](../how-to/manage.md#rest). Errors are `application/problem+json`.

## Paths

| | | body | answers |
|---|---|---|---|
";

/// The page.
pub(super) fn page(document: &Value) -> Result<String> {
    let mut page = HEAD.to_owned();
    let paths = document["paths"].as_object().context("the document has no paths")?;
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().into_iter().flat_map(Map::iter) {
            let text = ["summary", "description"].iter().find_map(|name| operation[*name].as_str());
            let body = body(&operation["requestBody"]).unwrap_or_default();
            let method = method.to_uppercase();
            writeln!(
                page,
                "| `{method} {path}` | {} | {body} | {} |",
                cell(text.unwrap_or_default()),
                answers(operation)
            )?;
        }
    }
    page += "\n## JSON\n";
    for (name, schema) in document["components"]["schemas"].as_object().context("no schemas")? {
        writeln!(page, "\n### {name}\n\n{}", schema["description"].as_str().unwrap_or_default())?;
        rows(schema, &mut page)?;
    }
    Ok(page)
}

/// The fields of an object, or the values of an enumeration.
fn rows(schema: &Value, page: &mut String) -> Result<()> {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        writeln!(page, "\nOne of {}.", values.join(", "))?;
    }
    let parts = schema["allOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
    let named: Vec<_> = parts.iter().filter_map(reference).collect();
    if !named.is_empty() {
        writeln!(page, "\nAll of {}, and:", named.join(", "))?;
    }
    let fields: Vec<_> = parts.iter().filter_map(|part| part["properties"].as_object()).flatten().collect();
    if fields.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n| field | type | |\n|---|---|---|")?;
    for (name, field) in fields {
        writeln!(
            page,
            "| `{name}` | {} | {} |",
            kind(field),
            cell(field["description"].as_str().unwrap_or_default())
        )?;
    }
    Ok(())
}

/// A link to the schema that is referred to.
fn reference(schema: &Value) -> Option<String> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    Some(format!("[{name}](#{})", name.to_lowercase()))
}

fn kind(schema: &Value) -> String {
    if let Some(link) = reference(schema) {
        return link;
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[choice].as_array() {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        Value::String(kind) if kind == "array" => format!("list of {}", self::kind(&schema["items"])),
        Value::String(kind) if kind == "object" && schema["additionalProperties"].is_object() => {
            format!("map of {}", self::kind(&schema["additionalProperties"]))
        }
        Value::String(kind) => kind.clone(),
        _ => String::new(),
    }
}

fn body(content: &Value) -> Option<String> {
    let content = content["content"].as_object()?.values().next()?;
    Some(kind(&content["schema"]))
}

/// Status codes, with what they carry where all is well.
fn answers(operation: &Value) -> String {
    let answers = operation["responses"].as_object().into_iter().flat_map(Map::iter);
    let answers = answers.map(|(status, answer)| match body(answer) {
        Some(body) if status.starts_with('2') && !body.is_empty() => format!("{status} {body}"),
        _ => status.clone(),
    });
    answers.collect::<Vec<_>>().join(", ")
}
