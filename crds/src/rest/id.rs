//! How a pool is named in paths.

use std::{fmt, str::FromStr};

/// `<namespace>.<name>`. Neither part may hold a dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId {
    /// The pool's namespace.
    pub namespace: String,
    /// The pool's name.
    pub name: String,
}

impl ServerId {
    /// The id of a pool.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.namespace, self.name)
    }
}

/// It is no id: no pool has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoId;

impl FromStr for ServerId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let (namespace, name) = text.split_once('.').ok_or(NoId)?;
        let label = |text: &str| {
            let fits = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
            (1..=63).contains(&text.len()) && text.as_bytes().iter().all(fits)
        };
        if label(namespace) && label(name) { Ok(Self::new(namespace, name)) } else { Err(NoId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_namespace_and_a_name() {
        let id: ServerId = "team-a.web".parse().unwrap();
        assert_eq!((id.namespace.as_str(), id.name.as_str()), ("team-a", "web"));
        assert_eq!(id.to_string(), "team-a.web");
        for wrong in ["", "web", ".web", "a.", "a.b.c", "A.web", "a/b.c", "a.b c"] {
            assert_eq!(wrong.parse::<ServerId>(), Err(NoId), "{wrong:?}");
        }
    }
}
