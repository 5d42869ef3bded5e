//! What the pool must know of a key.

use std::hash::Hash;

/// Names a principal; a keyed hash.
pub type Principal = [u8; 16];

/// Tells sessions apart. Two requests share a session only if their keys are equal.
pub trait Key: Clone + Eq + Hash + Send + Sync + std::fmt::Debug + 'static {
    /// Whether the key belongs to one client session, so that its slot holds that client's state: it has at most
    /// one slot, which is neither recycled nor closed to make room while the client lives.
    fn is_bound(&self) -> bool;

    /// Whether the key is served without pooling: outside the pool's size, with no limit on concurrency.
    fn is_direct(&self) -> bool;

    /// Whose slots these are, for the cap on each principal; none where the cap does not apply.
    fn principal(&self) -> Option<Principal>;

    /// The key under which sessions for this one may be kept warm before the client is known.
    fn warm(&self) -> Option<Self>;
}
