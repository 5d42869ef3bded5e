//! What the chart says about its values: the tables of its README, and the descriptions in its schema. Both are made from
//! the comments in `values.yaml`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::binary::repository;

/// The tables stand between these lines.
const MARKS: [&str; 2] = ["<!-- values: `make chart` -->\n", "<!-- end of values -->"];

/// A file of the chart.
pub fn file(name: &str) -> PathBuf {
    repository().join("charts/sessionpool").join(name)
}

/// One documented value.
#[derive(Debug)]
pub struct Entry {
    /// Title of the part of the file that it stands in.
    pub section: String,
    /// Its name and those of the values around it, outermost first.
    pub path: Vec<String>,
    /// Its comment.
    pub description: String,
    /// What it is by default; nothing where its parts are documented one by one.
    pub default: Option<Value>,
}

/// Every documented value, in the order of the file.
///
/// # Errors
/// When a value has no comment.
pub fn entries(values: &str) -> Result<Vec<Entry>> {
    let defaults: Value = serde_yaml::from_str(values)?;
    let (mut section, mut comment, mut path) = (String::new(), Vec::new(), Vec::<String>::new());
    let mut entries: Vec<Entry> = Vec::new();
    for line in values.lines() {
        let text = line.trim_start();
        if let Some(title) = text.strip_prefix("## ") {
            title.clone_into(&mut section);
        } else if let Some(words) = text.strip_prefix("# ") {
            comment.push(words);
        } else if let Some((name, _)) = text.split_once(':').filter(|(name, _)| is_name(name)) {
            path.truncate((line.len() - text.len()) / 2);
            path.push(name.to_owned());
            let description = std::mem::take(&mut comment).join(" ");
            let within = |entry: &Entry| entry.default.is_some() && path.starts_with(&entry.path);
            if description.is_empty() && entries.iter().any(within) {
                continue;
            }
            ensure!(!description.is_empty(), "{} has no comment in values.yaml", path.join("."));
            if let Some(around) = entries.iter_mut().find(|entry| path[..path.len() - 1] == entry.path) {
                around.default = None;
            }
            let default = path.iter().fold(&defaults, |value, name| &value[name]).clone();
            let section = section.clone();
            entries.push(Entry { section, path: path.clone(), description, default: Some(default) });
        } else {
            comment.clear();
        }
    }
    Ok(entries)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The README with its tables as `values` has them.
///
/// # Errors
/// When a value has no comment, or the README no place for the tables.
pub fn readme(readme: &str, values: &str) -> Result<String> {
    let no_place = || format!("the README lacks the lines {MARKS:?}");
    let (before, rest) = readme.split_once(MARKS[0]).with_context(no_place)?;
    let (_, after) = rest.split_once(MARKS[1]).with_context(no_place)?;
    Ok(format!("{before}{}{}{}{after}", MARKS[0], tables(&entries(values)?)?, MARKS[1]))
}

fn tables(entries: &[Entry]) -> Result<String> {
    let (mut text, mut section) = (String::new(), "");
    for entry in entries {
        if entry.section != section {
            section = &entry.section;
            write!(text, "\n### {section}\n\n| value | default | |\n|---|---|---|\n")?;
        }
        let default = entry.default.as_ref().map(|default| format!("`{default}`")).unwrap_or_default();
        writeln!(
            text,
            "| `{}` | {default} | {} |",
            entry.path.join("."),
            entry.description.replace('|', "\\|")
        )?;
    }
    Ok(text + "\n")
}

/// The schema with the comments of `values` as its descriptions, and their defaults.
///
/// # Errors
/// When a value has no comment, or is not in the schema.
pub fn schema(schema: &str, values: &str) -> Result<String> {
    let mut schema: Value = serde_json::from_str(schema)?;
    for entry in entries(values)? {
        let mut place = &mut schema;
        for name in &entry.path {
            place = place["properties"]
                .get_mut(name)
                .with_context(|| format!("{} is not in values.schema.json", entry.path.join(".")))?;
        }
        place["description"] = entry.description.into();
        if let Some(default) = entry.default {
            place["default"] = default;
        }
    }
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

/// Each file that is made from `values.yaml`, with what it holds and what it should hold.
///
/// # Errors
/// When a file can't be read or made.
pub fn made() -> Result<Vec<(PathBuf, String, String)>> {
    let read =
        |name| fs::read_to_string(file(name)).with_context(|| format!("can't read the chart's {name}"));
    let values = read("values.yaml")?;
    let mut files = Vec::new();
    for (name, make) in
        [("README.md", readme as fn(&str, &str) -> Result<String>), ("values.schema.json", schema)]
    {
        let holds = read(name)?;
        let should = make(&holds, &values)?;
        files.push((file(name), holds, should));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &str = "# The head.\n\n## First\n\n# A.\na: 1\n# B\n# goes on.\nb:\n  # C.\n  c: [x]\n  # D.\n  d:\n    e: true\n";

    #[test]
    fn comments_become_entries() {
        let entries = entries(VALUES).unwrap();
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| {
                let default = entry.default.as_ref().map(ToString::to_string).unwrap_or_default();
                (entry.path.join("."), entry.description.as_str(), default)
            })
            .collect();
        let entry =
            |path: &str, description, default: &str| (path.to_owned(), description, default.to_owned());
        assert_eq!(
            seen,
            [
                entry("a", "A.", "1"),
                entry("b", "B goes on.", ""),
                entry("b.c", "C.", "[\"x\"]"),
                entry("b.d", "D.", "{\"e\":true}"),
            ]
        );
        assert!(entries.iter().all(|entry| entry.section == "First"));
    }

    #[test]
    fn a_value_without_a_comment_is_told() {
        let error = entries("# A.\na: 1\nb: 2\n").unwrap_err();
        assert_eq!(error.to_string(), "b has no comment in values.yaml");
    }
}
