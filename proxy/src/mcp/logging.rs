//! Levels of `notifications/message`, as in syslog (RFC 5424).

/// From the least to the most severe.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// How severe a level is, from 0; none for a word that is no level.
pub fn severity(level: &str) -> Option<u8> {
    (0..).zip(LEVELS).find(|(_, name)| *name == level).map(|(severity, _)| severity)
}

/// The word for a severity; the most severe one for what is beyond.
pub fn name(severity: u8) -> &'static str {
    LEVELS.get(usize::from(severity)).copied().unwrap_or("emergency")
}

/// All levels, for messages to people.
pub fn list() -> String {
    LEVELS.join(", ")
}

#[cfg(test)]
mod tests {
    use super::severity;

    #[test]
    fn levels_are_ordered() {
        assert!(severity("debug") < severity("info"));
        assert!(severity("error") < severity("emergency"));
        assert_eq!(severity("loud"), None);
    }
}
