//! What the operator remembers of a pool between two reconciles. Losing it costs a repeated nudge or event, no more.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{metrics::Series, reconcile::written::Written, strain::Strain, totals::Ledger};

/// Identity of a pool: namespace and name.
pub type PoolId = (String, String);

/// One pool's notes.
#[derive(Debug, Default)]
pub struct Notes {
    /// The object these notes are about; another one of the same name starts afresh.
    pub uid: String,
    /// Failures in a row.
    pub failures: u32,
    /// Counters of this pool's proxies.
    pub ledger: Ledger,
    /// What those counted lately that speaks against the pool.
    pub strain: Strain,
    /// Nudges of pods, by the pod's uid.
    pub nudges: BTreeMap<String, Nudge>,
    /// Resource version whose undecodable object was reported.
    pub reported_version: Option<String>,
    /// Resource version that the last write of the status has replaced.
    pub replaced_version: Option<String>,
    /// Since when the first status waits for the Deployment's controller.
    pub awaiting: Option<Instant>,
    /// Revision of the last configuration that was checked and applied.
    pub passed: Option<String>,
    /// The children as they were written last.
    pub written: Written,
    /// The series that tell of the pool.
    pub series: Series,
}

/// The last nudge of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nudge {
    /// The revision that the pod was to fetch.
    pub revision: String,
    /// When it was nudged.
    pub time: Timestamp,
    /// How often, for this revision.
    pub count: u32,
}

/// The notes of every pool.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<PoolId, Notes>>);

impl Memory {
    /// Reads or changes the notes of one object.
    pub fn with<T>(&self, id: &PoolId, uid: &str, act: impl FnOnce(&mut Notes) -> T) -> T {
        let mut all = self.0.lock();
        let notes = all.entry(id.clone()).or_default();
        if notes.uid != uid {
            *notes =
                Notes { uid: uid.to_owned(), series: std::mem::take(&mut notes.series), ..Notes::default() };
        }
        act(notes)
    }

    /// Forgets a pool that is gone, and gives what was known of it.
    pub fn forget(&self, id: &PoolId) -> Option<Notes> {
        self.0.lock().remove(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_object_of_the_same_name_starts_afresh() {
        let memory = Memory::default();
        let id = ("ns".to_owned(), "pool".to_owned());
        memory.with(&id, "1", |notes| notes.failures = 3);
        assert_eq!(memory.with(&id, "1", |notes| notes.failures), 3);
        assert_eq!(memory.with(&id, "2", |notes| notes.failures), 0);
        assert_eq!(memory.forget(&id).map(|notes| notes.uid), Some("2".to_owned()));
        assert!(memory.forget(&id).is_none());
    }
}
