//! Values of the command line that are more than words.

use std::time::Duration;

/// Kubectl's users write `sessionpool/NAME`, too.
pub(super) fn pool_name(text: &str) -> Result<String, String> {
    let name = match text.split_once('/') {
        Some((kind, name)) if ["sessionpool", "sessionpools", "spool"].contains(&kind) => name,
        Some((kind, _)) => return Err(format!("{kind} is no SessionPool: give the name of one")),
        None => text,
    };
    if name.is_empty() { Err("give the name of a pool".to_owned()) } else { Ok(name.to_owned()) }
}

/// A time between two looks.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(100) { Err("the least is 100ms".to_owned()) } else { Ok(interval) }
}

/// A time as kubectl takes it: 90s, 1m30s, 1h; a number alone counts seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let wrong = || format!("{text} is no time such as 90s, 5m or 1h30m");
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_kubectl_reads_them() {
        for (text, seconds) in [("90s", 90), ("1m30s", 90), ("2h", 7200), ("15", 15), ("0", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert!(duration("soon").is_err() && duration("-5s").is_err());
    }
}
