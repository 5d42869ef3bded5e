//! The blocks of code in a page, and what is to be done with them.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::pages::Page;

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Page and line, for messages.
    pub place: String,
    /// The first word after the fence.
    pub language: String,
    /// The words after that.
    pub words: Vec<String>,
    /// What it holds.
    pub text: String,
}

impl Block {
    /// Whether it is in this language, with this word after it; `""` stands for none.
    pub fn is(&self, language: &str, word: &str) -> bool {
        self.language == language && self.words.first().map_or("", String::as_str) == word
    }
}

/// The fenced blocks of a page.
pub fn of(page: &Page) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (event, range) in Parser::new_ext(&page.text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let line = page.text[..range.start].lines().count() + 1;
                let mut words = info.split_whitespace().map(str::to_owned);
                open = Some(Block {
                    place: format!("{}:{line}", page.path.display()),
                    language: words.next().unwrap_or_default(),
                    words: words.collect(),
                    text: String::new(),
                });
            }
            Event::Text(text) => {
                if let Some(block) = &mut open {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_have_a_language_and_words() {
        let text = "a\n\n```sh node\nx\n\ny\n```\n\n    indented\n\n```yaml\na: b\n```\n".to_owned();
        let found = of(&Page { path: "p.md".into(), text });
        let block = |place: &str, language: &str, words: &[&str], text: &str| Block {
            place: place.into(),
            language: language.into(),
            words: words.iter().map(ToString::to_string).collect(),
            text: text.into(),
        };
        assert_eq!(
            found,
            [block("p.md:3", "sh", &["node"], "x\n\ny\n"), block("p.md:11", "yaml", &[], "a: b\n")]
        );
        assert!(found[0].is("sh", "node") && found[1].is("yaml", "") && !found[1].is("yaml", "foreign"));
    }
}
