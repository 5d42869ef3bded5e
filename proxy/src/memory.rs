//! The memory of this process.

/// Bytes in a page of memory, on every platform that is built for.
const PAGE: u64 = 4096;

/// Resident memory in bytes; 0 where the system does not tell.
pub fn resident() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn is_more_than_nothing() {
        assert!(super::resident() > 1 << 20);
    }
}
