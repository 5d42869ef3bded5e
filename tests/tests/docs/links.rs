//! Relative links and their anchors.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, ensure};
use tests::docs::{links, pages};
use tests::repository;

#[test]
fn relative_links_lead_somewhere() -> Result<()> {
    let pages = pages::all()?;
    let anchors: BTreeMap<_, _> =
        pages.iter().map(|page| (page.path.clone(), links::anchors(&page.text))).collect();
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in &pages {
        for target in links::targets(&page.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (file, anchor) =
                target.split_once('#').map_or((target.as_str(), None), |(a, b)| (a, Some(b)));
            let path = if file.is_empty() { page.path.clone() } else { resolve(&page.path, file) };
            let there = repository().join(&path).exists();
            let known = anchors.get(&path);
            let found = anchor.is_none_or(|anchor| known.is_some_and(|known| known.contains(anchor)));
            if !there || !found {
                broken.push(format!("{}: {target}", page.path.display()));
            }
        }
    }
    ensure!(broken.is_empty(), "these lead nowhere:\n{}", broken.join("\n"));
    ensure!(followed > 100, "only {followed} links were found");
    Ok(())
}

fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

/// Every page is reached from the index.
#[test]
fn no_page_is_an_island() -> Result<()> {
    let index = PathBuf::from("docs/README.md");
    let pages: BTreeMap<_, _> = pages::all()?.into_iter().map(|page| (page.path, page.text)).collect();
    let mut reached = vec![index.clone()];
    let mut at = 0;
    while let Some(page) = reached.get(at).cloned() {
        at += 1;
        let Some(text) = pages.get(&page) else { continue };
        for target in links::targets(text) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains("://") {
                continue;
            }
            let path = resolve(&page, file);
            if path.starts_with("docs") && !reached.contains(&path) {
                reached.push(path);
            }
        }
    }
    let missing: Vec<_> =
        pages.keys().filter(|page| page.starts_with("docs") && !reached.contains(page)).collect();
    ensure!(missing.is_empty(), "the index leads to none of {missing:?}");
    Ok(())
}
