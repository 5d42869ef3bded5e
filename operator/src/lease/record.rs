//! What stands in a Lease, and whether it may be taken. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use tokio::time::Instant;

/// Who holds a lease, since when it is known, and for how long it holds without being renewed.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    holder: Option<String>,
    renewed: Option<MicroTime>,
    duration: Duration,
}

impl Record {
    /// What is stored.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
        Self {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            renewed: spec.renew_time,
            duration: Duration::from_secs(seconds),
        }
    }

    /// Whether `identity` holds it.
    pub fn is_of(&self, identity: &str) -> bool {
        self.holder.as_deref() == Some(identity)
    }

    /// A lease that is not there yet.
    pub fn first(name: &str, identity: &str, now: Timestamp, duration: Duration) -> Lease {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        Lease { metadata, spec: Some(spec(identity, now, duration, 0)) }
    }

    /// A lease that changes hands.
    pub fn taken(identity: &str, now: Timestamp, duration: Duration, stored: &Lease) -> Lease {
        let before = stored.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
        Lease { spec: Some(spec(identity, now, duration, before + 1)), ..stored.clone() }
    }

    /// A lease that goes on.
    pub fn renewed(identity: &str, now: Timestamp, duration: Duration, stored: &Lease) -> Lease {
        let before = stored.spec.clone().unwrap_or_default();
        let renewed = spec(identity, now, duration, before.lease_transitions.unwrap_or_default());
        Lease { spec: Some(LeaseSpec { acquire_time: before.acquire_time, ..renewed }), ..stored.clone() }
    }

    /// A lease that anybody may take.
    pub fn free(now: Timestamp, stored: &Lease) -> Lease {
        let spec = stored.spec.clone().unwrap_or_default();
        let holder_identity = Some(String::new());
        let renew_time = Some(MicroTime(now));
        Lease { spec: Some(LeaseSpec { holder_identity, renew_time, ..spec }), ..stored.clone() }
    }
}

fn spec(identity: &str, now: Timestamp, duration: Duration, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

/// A lease of somebody else, as it was seen to change.
#[derive(Debug, Default)]
pub struct Watched(Option<(Record, Instant)>);

impl Watched {
    /// Whether `identity` may take the lease: nobody holds it, or it did not change for as long as it holds.
    pub fn is_free(&mut self, record: Record, identity: &str, now: Instant) -> bool {
        if record.holder.is_none() || record.is_of(identity) {
            return true;
        }
        match &self.0 {
            Some((known, since)) if *known == record => now.duration_since(*since) > record.duration,
            _ => {
                self.0 = Some((record, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(12);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_lease_is_free_once_it_did_not_change_for_as_long_as_it_holds() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let first = Record::first("lease", "a", at(0), DURATION);
        let mut watched = Watched::default();
        assert!(watched.is_free(Record::of(&first), "a", begin), "it is the own one");
        assert!(!watched.is_free(Record::of(&first), "b", begin), "first seen, however old it says it is");
        assert!(!watched.is_free(Record::of(&first), "b", after(12)));
        let renewed = Record::renewed("a", at(5), DURATION, &first);
        assert!(!watched.is_free(Record::of(&renewed), "b", after(13)), "it was renewed");
        assert!(watched.is_free(Record::of(&renewed), "b", after(26)));
        assert!(Watched::default().is_free(Record::of(&Record::free(at(6), &renewed)), "b", begin));
    }

    #[test]
    fn changes_of_hands_are_counted() {
        let first = Record::first("lease", "a", at(0), DURATION);
        let taken = Record::taken("b", at(20), DURATION, &Record::renewed("a", at(2), DURATION, &first));
        let spec = taken.spec.unwrap();
        assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("b"), Some(1)));
        assert_eq!(spec.acquire_time, Some(MicroTime(at(20))));
    }
}
