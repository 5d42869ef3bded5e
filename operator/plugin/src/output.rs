//! How things are printed: tables as kubectl prints them, JSON, YAML, times and amounts for people.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use crds::Phase;
use jiff::Timestamp;
use serde::Serialize;
use tabwriter::{Alignment, TabWriter};

use crate::{args::Format, failure::Failure};

/// Prints a value as JSON or YAML, or as the text that `text` makes.
pub fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let other = |error: &dyn std::fmt::Display| Failure::Other(error.to_string());
    let out = match format {
        Format::Text => text(value),
        Format::Json => serde_json::to_string_pretty(value).map_err(|error| other(&error))? + "\n",
        Format::Yaml => serde_yaml::to_string(value).map_err(|error| other(&error))?,
    };
    put(&out)
}

/// Writes to standard output.
pub fn put(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// A table with columns three spaces apart. `indent` goes before each line.
pub fn table(indent: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut writer = TabWriter::new(Vec::new()).minwidth(0).alignment(Alignment::Left).padding(3).ansi(true);
    let mut all = vec![head.join("\t")];
    // A tab or a line break within a cell would tear the table.
    let clean = |cell: &String| cell.replace(['\t', '\n', '\r'], " ");
    all.extend(rows.iter().map(|row| row.iter().map(clean).collect::<Vec<_>>().join("\t")));
    let text = lines(all);
    let written = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
    let table = match (written, writer.into_inner()) {
        (Ok(()), Ok(table)) => String::from_utf8(table).unwrap_or(text),
        _ => text,
    };
    lines(table.lines().map(|line| format!("{indent}{}", line.trim_end())))
}

/// Lines as one text.
pub fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + line.as_ref() + "\n")
}

/// A text in colour; whether the terminal shows it is decided where it is written.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The colour of something good, bad or in between.
pub fn shade(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}

/// A heading.
pub fn bold(text: &str) -> String {
    paint(Style::new().bold(), text)
}

/// A phase in its colour.
pub fn phase(phase: Option<Phase>) -> String {
    let Some(phase) = phase else { return "-".to_owned() };
    let color = match phase {
        Phase::Active => AnsiColor::Green,
        Phase::Failed | Phase::Degraded => AnsiColor::Red,
        Phase::Pending | Phase::Disabled | Phase::Draining | Phase::Drained | Phase::Resetting => {
            AnsiColor::Yellow
        }
    };
    paint(shade(color), &format!("{phase:?}"))
}

/// Seconds in the two largest units, as kubectl shows ages: 45s, 3m20s, 2h5m, 4d.
pub fn span(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "an age fits")]
    let seconds = seconds.max(0.0).round() as i64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: i64, unit: &str, small: i64, rest: &str| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{rest}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / 60, "m", seconds % 60, "s"),
        600..7200 => format!("{}m", seconds / 60),
        7200..86_400 => two(seconds / 3600, "h", minutes, "m"),
        86_400..864_000 => two(days, "d", hours, "h"),
        _ => format!("{days}d"),
    }
}

/// How long ago something was.
pub fn age(time: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(time).as_secs_f64())
}

/// A short time: 0, 3 ms, 1.25 s.
pub fn short(seconds: f64) -> String {
    if seconds <= 0.0 {
        "0".to_owned()
    } else if seconds < 0.0095 {
        format!("{:.1} ms", seconds * 1000.0)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.2} s")
    }
}

/// An amount of memory.
pub fn memory(bytes: u64) -> String {
    if bytes == 0 { "-".to_owned() } else { format!("{:.0}Mi", bytes as f64 / 1_048_576.0) }
}

/// One or many of something.
pub fn count(number: impl TryInto<i128>, one: &str, many: &str) -> String {
    let number = number.try_into().unwrap_or_default();
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (0.0, "0s"),
            (119.4, "119s"),
            (125.0, "2m5s"),
            (660.0, "11m"),
            (7260.0, "2h1m"),
            (90_000.0, "1d1h"),
            (900_000.0, "10d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn tables_line_up_whatever_is_in_them() {
        let rows = [vec!["a".to_owned(), paint(shade(AnsiColor::Red), "x"), "one\ntwo".to_owned()]];
        let table = table("  ", &["NAME", "B", "C"], &rows);
        let plain = anstream::adapter::strip_str(&table).to_string();
        assert_eq!(plain, "  NAME   B   C\n  a      x   one two\n");
    }
}
