//! How far something is: one line that changes on a terminal, a line for each change elsewhere.

use std::io::{IsTerminal as _, Write as _};

/// Shows progress on standard error.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    last: String,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), last: String::new() }
    }

    /// Shows a state. `ticking` changes all the time, so only a terminal gets to see it.
    pub fn show(&mut self, state: &str, ticking: &str) {
        let line = if self.terminal && !ticking.is_empty() {
            format!("{state}; {ticking}")
        } else {
            state.to_owned()
        };
        if line == self.last {
            return;
        }
        let mut out = std::io::stderr().lock();
        // Nothing is lost when nobody reads it.
        let _ = if self.terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _ = out.flush();
        self.last = line;
    }

    /// Leaves the line for what is written next.
    pub fn end(&mut self) {
        if self.terminal && !self.last.is_empty() {
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
        }
        self.last.clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
