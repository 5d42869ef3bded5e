//! All buckets, found by key once for each request and by number afterwards.

use std::ops::{Index, IndexMut};

use foldhash::{HashMap, HashMapExt};
use slab::Slab;
use tokio::time::Instant;

use super::bucket::{Bucket, BucketId};
use crate::{pool::key::Key, strategy::StrategyKind};

/// See the module's text.
#[derive(Debug)]
pub struct Buckets<K, E> {
    by_key: HashMap<K, BucketId>,
    all: Slab<Bucket<K, E>>,
}

impl<K: Key, E: Clone> Buckets<K, E> {
    pub fn new() -> Self {
        Self { by_key: HashMap::new(), all: Slab::new() }
    }

    pub fn find(&self, key: &K) -> Option<BucketId> {
        self.by_key.get(key).copied()
    }

    pub fn find_or_make(&mut self, key: &K, strategy: StrategyKind, now: Instant) -> BucketId {
        if let Some(at) = self.find(key) {
            return at;
        }
        let at = self.all.insert(Bucket::new(key.clone(), strategy, now));
        self.by_key.insert(key.clone(), at);
        at
    }

    pub fn iter(&self) -> impl Iterator<Item = (BucketId, &Bucket<K, E>)> {
        self.all.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (BucketId, &mut Bucket<K, E>)> {
        self.all.iter_mut()
    }

    /// Drops those that hold nothing.
    pub fn drop_spent(&mut self, now: Instant) {
        let Self { by_key, all } = self;
        all.retain(|_, bucket| {
            let spent = bucket.is_spent(now);
            if spent {
                by_key.remove(&bucket.key);
            }
            !spent
        });
    }
}

impl<K, E> Index<BucketId> for Buckets<K, E> {
    type Output = Bucket<K, E>;

    fn index(&self, at: BucketId) -> &Bucket<K, E> {
        &self.all[at]
    }
}

impl<K, E> IndexMut<BucketId> for Buckets<K, E> {
    fn index_mut(&mut self, at: BucketId) -> &mut Bucket<K, E> {
        &mut self.all[at]
    }
}
