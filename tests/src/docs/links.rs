//! Links between pages, and the anchors that they lead to.

use std::collections::{BTreeSet, HashMap};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Where the links of a page lead.
pub fn targets(text: &str) -> Vec<String> {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES);
    let target = |event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    };
    events.filter_map(target).collect()
}

/// The anchors that GitHub gives to the headings of a page.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                let earlier = seen.entry(slug.clone()).or_default();
                anchors.insert(if *earlier == 0 { slug } else { format!("{slug}-{earlier}") });
                *earlier += 1;
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_github() {
        let text = "# Who may do what?\n## `answer_lost`\n## A & B\n## Again\n## Again\n";
        let expected = ["a--b", "again", "again-1", "answer_lost", "who-may-do-what"];
        assert_eq!(anchors(text), expected.map(String::from).into());
    }

    #[test]
    fn links_in_tables_are_found() {
        let text = "| a |\n|---|\n| [x](b.md#c) |\n\n`[no](link)`\n";
        assert_eq!(targets(text), ["b.md#c"]);
    }
}
