//! Which log messages sessions have to send for clients with different wishes.

/// Nobody has wished for a level: the server sends what it likes.
pub const UNTOUCHED: u8 = u8::MAX;

/// What a client gets that has no wish, once another one has: `info` and above.
const DEFAULT: u8 = 1;

/// The level for a session that serves clients with these wishes: the most verbose one. `touched` tells whether sessions have
/// been told one before.
pub fn wanted(wishes: impl Iterator<Item = Option<u8>>, touched: bool) -> u8 {
    let (mut least, mut any) = (UNTOUCHED, touched);
    for wish in wishes {
        any |= wish.is_some();
        least = least.min(wish.unwrap_or(DEFAULT));
    }
    match (any, least) {
        (false, _) => UNTOUCHED,
        (true, UNTOUCHED) => DEFAULT,
        (true, least) => least,
    }
}

/// The least severity that a client with this wish gets; `raised` tells whether sessions were told a level.
pub fn least(wish: Option<u8>, raised: bool) -> u8 {
    wish.unwrap_or(if raised { DEFAULT } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_verbose_wish_counts() {
        assert_eq!(wanted([None, None].into_iter(), false), UNTOUCHED);
        assert_eq!(wanted([Some(4)].into_iter(), false), 4);
        assert_eq!(wanted([Some(4), Some(0)].into_iter(), false), 0);
        assert_eq!(wanted([Some(7), None].into_iter(), false), DEFAULT, "who did not wish is not silenced");
        assert_eq!(wanted([None].into_iter(), true), DEFAULT, "the one who wished is gone");
        assert_eq!(wanted([].into_iter(), true), DEFAULT);
    }

    #[test]
    fn nobody_is_flooded_by_anothers_wish() {
        assert_eq!(least(None, false), 0);
        assert_eq!(least(None, true), DEFAULT);
        assert_eq!(least(Some(5), true), 5);
        assert_eq!(least(Some(0), true), 0);
    }
}
