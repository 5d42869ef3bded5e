//! Whatever a user can meet is in the pages.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use tests::docs::pages;
use tests::repository;

fn source(path: &str) -> Result<String> {
    fs::read_to_string(repository().join(path)).with_context(|| path.to_owned())
}

/// The texts in quotes on the lines that hold `mark`.
fn quoted(text: &str, mark: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| line.contains(mark));
    let texts = lines.filter_map(|line| line.split_once(mark)?.1.split_once('"')?.1.split_once('"'));
    texts.map(|(text, _)| text.to_owned()).collect()
}

fn page(path: &str) -> Result<String> {
    let pages = pages::all()?;
    let page = pages.into_iter().find(|page| page.path.ends_with(path));
    Ok(page.with_context(|| format!("there is no {path}"))?.text)
}

/// Each word stands in `page` as code.
fn told(page: &str, words: &BTreeSet<String>, at_least: usize) -> Result<()> {
    ensure!(words.len() >= at_least, "the source has changed: only {words:?} were found");
    let missing: Vec<_> = words.iter().filter(|word| !page.contains(&format!("`{word}`"))).collect();
    ensure!(missing.is_empty(), "not told: {missing:?}");
    Ok(())
}

#[test]
fn every_reason_of_a_condition_is_explained() -> Result<()> {
    let conditions = source("operator/src/conditions.rs")?;
    let reasons = conditions.split("impl Reason").nth(1).context("no reasons")?;
    let reasons = reasons.split("impl Verdict").next().unwrap_or_default();
    told(&page("docs/troubleshooting.md")?, &quoted(reasons, "=>"), 30)
}

#[test]
fn every_event_is_explained() -> Result<()> {
    let text = source("operator/src/events.rs")?;
    let mut events = BTreeSet::new();
    for mark in ["(false, \"", "(true, \""] {
        let named = text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
        events.extend(named.map(str::to_owned));
    }
    events.extend(quoted(&source("operator/src/advice.rs")?, "tell("));
    events.extend(quoted(&source("operator/src/reconcile.rs")?, "reason: "));
    told(&page("docs/troubleshooting.md")?, &events, 10)
}

#[test]
fn every_error_of_the_proxy_is_explained() -> Result<()> {
    let page = page("docs/troubleshooting.md")?;
    let mut reasons = BTreeSet::new();
    for file in pages::files("proxy/src", "rs")? {
        let text = source(&file.display().to_string())?;
        reasons.extend(quoted(&text, "\"reason\": "));
        // The reason is the last text in quotes of such a call.
        let mut calls = text.match_indices("busy(").chain(text.match_indices("unavailable("));
        reasons.extend(calls.by_ref().filter_map(|(at, _)| {
            let call = text[at..].split(';').next()?.split("),\n").next()?;
            let word = |word: &&str| {
                word.len() > 3 && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            };
            call.split('"').skip(1).step_by(2).filter(word).last().map(str::to_owned)
        }));
    }
    told(&page, &reasons, 8)
}

#[test]
fn every_reason_for_closing_a_session_is_explained() -> Result<()> {
    let slot = source("proxy/src/pool/state/slot.rs")?;
    let reasons = slot.split("impl CloseReason").nth(1).and_then(|rest| rest.split("\n}\n").next());
    told(&page("docs/troubleshooting.md")?, &quoted(reasons.context("no reasons")?, "=>"), 13)
}

#[test]
fn every_code_of_advice_is_explained() -> Result<()> {
    let rules = source("crds/src/optimize/rules.rs")?;
    let word = |word: &&str| {
        word.contains('_') && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
    };
    // Codes are the first text in quotes of a finding, and of what is said when there is none.
    let mut codes: BTreeSet<String> = rules
        .match_indices("finding(")
        .filter_map(|(at, _)| rules[at..].split('"').nth(1))
        .filter(word)
        .map(str::to_owned)
        .collect();
    codes.extend(quoted(&rules, "code: ").into_iter().filter(|code| word(&code.as_str())));
    codes.extend(["too_little_traffic", "nothing_to_change"].map(str::to_owned));
    told(&page("docs/troubleshooting.md")?, &codes, 10)
}

#[test]
fn every_field_that_is_refused_is_explained() -> Result<()> {
    let support = source("crds/src/support.rs")?;
    let fields = support.lines().filter_map(|line| line.trim().strip_prefix("\"spec.")?.strip_suffix("\","));
    let page = page("docs/troubleshooting.md")?;
    let fields: BTreeSet<_> = fields.map(str::to_owned).collect();
    ensure!(fields.len() >= 10, "the source has changed: only {fields:?} were found");
    let missing: Vec<_> = fields.iter().filter(|field| !page.contains(&format!("`{field}"))).collect();
    ensure!(missing.is_empty(), "not told: {missing:?}");
    Ok(())
}

/// The chart links each alert to the section of its name.
#[test]
fn every_alert_has_a_runbook() -> Result<()> {
    let alerts: serde_json::Value = serde_yaml::from_str(&source("charts/sessionpool/files/alerts.yaml")?)?;
    let groups = alerts["groups"].as_array().context("no groups")?;
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let alerts: BTreeSet<_> = rules.filter_map(|rule| rule["alert"].as_str()).map(str::to_owned).collect();
    ensure!(alerts.len() > 10, "only {alerts:?} were found");
    let page = page("docs/runbooks.md")?;
    let sections: BTreeSet<_> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    ensure!(sections == alerts, "these differ: {:?}", sections.symmetric_difference(&alerts));
    Ok(())
}
