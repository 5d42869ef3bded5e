//! What the proxies of each pool tell, as sums, kept for as long as it is fresh; and what they told in the last hour.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{
    SessionPool,
    rest::{History, Recording, Replica, ServerId, Stats, Tally},
    wire::PoolStats,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use parking_lot::Mutex;

use crate::{
    reconcile::{
        observe::{self, Fleet, PodReport, StatsClient},
        report::stored_counters,
    },
    totals::{Ledger, Sample},
};

/// Longest wait for the proxies of one pool: what they told before is told again, as old.
const PATIENCE: Duration = Duration::from_millis(2200);

/// The numbers of every pool.
pub struct Numbers {
    stats: StatsClient,
    began: Timestamp,
    books: Mutex<HashMap<ServerId, Arc<Book>>>,
}

/// The numbers of one object.
struct Book {
    uid: String,
    /// Locked while proxies are asked, so that they are asked once.
    accounts: tokio::sync::Mutex<Accounts>,
    last: Mutex<Option<Arc<Shot>>>,
    recording: Mutex<Recording>,
}

#[derive(Default)]
struct Accounts {
    ledger: Ledger,
    tally: Tally,
    /// When each proxy had answered last.
    complete: Option<Timestamp>,
}

/// What proxies told at one time.
#[derive(Clone)]
pub struct Shot {
    taken: Instant,
    /// The proxies, and the most important that each told.
    pub replicas: Vec<Replica>,
    /// The sum.
    pub stats: Stats,
}

impl Numbers {
    /// Knows nothing yet.
    pub fn new(stats: StatsClient) -> Self {
        Self { stats, began: Timestamp::now(), books: Mutex::default() }
    }

    /// What the proxies of a pool tell, not older than `fresh`, or what they told before where they don't answer.
    pub async fn of(
        self: &Arc<Self>,
        pool: &SessionPool,
        id: &ServerId,
        pods: Vec<Arc<Pod>>,
        fresh: Duration,
    ) -> Arc<Shot> {
        let book = self.book(pool, id);
        let last = book.last.lock().clone();
        if let Some(shot) = last.clone().filter(|shot| shot.taken.elapsed() < fresh) {
            return shot;
        }
        let stored = pool.status.as_ref().and_then(|status| status.stats.clone());
        let counters = stored_counters(pool);
        let (stats, asked) = (self.stats.clone(), Arc::clone(&book));
        // Others wait for the answer, too: it is fetched whether or not this caller still does.
        let asking = tokio::spawn(async move {
            let mut accounts = asked.accounts.lock().await;
            let last = asked.last.lock().clone();
            if let Some(shot) = last.filter(|shot| shot.taken.elapsed() < fresh) {
                return shot;
            }
            let fleet = observe::ask(pods, &stats, false).await;
            let shot = Arc::new(accounts.enter(&fleet, counters, stored.as_ref()));
            *asked.last.lock() = Some(Arc::clone(&shot));
            shot
        });
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(shot)) => shot,
            _ => last.map_or_else(|| Arc::new(Shot::unknown(pool)), |shot| Arc::new(shot.aged())),
        }
    }

    /// Takes a sample for the history, unless nothing is known.
    pub async fn record(&self, pool: &SessionPool, id: &ServerId) {
        let book = self.book(pool, id);
        let growth = book.accounts.lock().await.tally.take_growth();
        let last = book.last.lock().clone();
        if let Some(shot) = last.filter(|shot| shot.stats.replicas > 0) {
            book.recording.lock().push(Timestamp::now(), &shot.stats.pool, growth);
        }
    }

    /// The last hour of a pool.
    pub fn history(&self, pool: &SessionPool, id: &ServerId) -> History {
        self.book(pool, id).recording.lock().history(self.began, Timestamp::now())
    }

    /// Drops what is known of other pools than these.
    pub fn retain(&self, pools: &HashSet<ServerId>) {
        self.books.lock().retain(|id, _| pools.contains(id));
    }

    /// The book of an object; another one of the same name gets a new one.
    fn book(&self, pool: &SessionPool, id: &ServerId) -> Arc<Book> {
        let uid = pool.uid().unwrap_or_default();
        let mut books = self.books.lock();
        let known = books.get(id).filter(|book| book.uid == uid);
        if let Some(book) = known {
            return Arc::clone(book);
        }
        let book = Arc::new(Book {
            uid,
            accounts: tokio::sync::Mutex::default(),
            last: Mutex::default(),
            recording: Mutex::default(),
        });
        books.insert(id.clone(), Arc::clone(&book));
        book
    }
}

impl Accounts {
    /// Takes in what a fleet told.
    fn enter(
        &mut self,
        fleet: &Fleet,
        counters: Option<crate::totals::Counters>,
        stored: Option<&crds::PoolStatsStatus>,
    ) -> Shot {
        let present: Vec<&str> = fleet.pods.iter().map(|pod| pod.incarnation.as_str()).collect();
        let told = fleet.pods.iter().filter_map(|pod| Some((pod.incarnation.as_str(), pod.answered()?)));
        self.tally.observe(&present, told);
        let sample = self.ledger.observe(fleet, counters);
        let silent = |pod: &PodReport| pod.running && !pod.terminating && pod.answered().is_none();
        let stale = fleet.pods.iter().any(silent);
        if !stale {
            self.complete = Some(Timestamp::now());
        }
        let replicas = fleet.pods.iter().filter(|pod| pod.answered().is_some()).count() as u64;
        let mut pool = self.tally.sum();
        let observed_time = match (sample, stored) {
            (Some(sample), _) => {
                enter(&mut pool, sample);
                self.complete.map(|time| time.to_string())
            }
            // Nothing runs: what was counted before still is.
            (None, Some(stored)) if !fleet.pods.is_empty() && !fleet.pods.iter().any(|pod| pod.running) => {
                enter(&mut pool, Sample { counters: Sample::from(stored).counters, ..Sample::default() });
                self.complete.map(|time| time.to_string())
            }
            (None, Some(stored)) => {
                enter(&mut pool, Sample::from(stored));
                stored.observed_time.as_ref().map(|time| time.0.to_string())
            }
            (None, None) => None,
        };
        Shot {
            taken: Instant::now(),
            stats: Stats { pool, replicas, observed_time, stale },
            replicas: fleet.pods.iter().map(replica).collect(),
        }
    }
}

impl Shot {
    /// What the status tells, where nobody has answered yet.
    fn unknown(pool: &SessionPool) -> Self {
        let fleet = Fleet::default();
        let stored = pool.status.as_ref().and_then(|status| status.stats.as_ref());
        let mut shot = Accounts::default().enter(&fleet, stored_counters(pool), stored);
        shot.stats.stale = true;
        shot
    }

    fn aged(&self) -> Self {
        let mut old = self.clone();
        old.stats.stale = true;
        old
    }
}

/// The numbers that the status has, too: they never go backwards.
fn enter(stats: &mut PoolStats, sample: Sample) {
    let Sample { counters, gauges } = sample;
    stats.total_acquisitions = counters.acquisitions;
    stats.total_releases = counters.releases;
    stats.total_timeouts = counters.timeouts;
    stats.total_creates = counters.creates;
    stats.total_destroys = counters.destroys;
    stats.total_sessions = gauges.total;
    stats.active_sessions = gauges.active;
    stats.available_sessions = gauges.available;
    stats.unhealthy_sessions = gauges.unhealthy;
    stats.min_size = gauges.min_size;
    stats.max_size = gauges.max_size;
}

fn replica(pod: &PodReport) -> Replica {
    let stats = pod.answered();
    let silent = pod.stats.as_ref().and_then(|stats| stats.as_ref().err()).cloned();
    let told = pod.told.as_deref();
    Replica {
        name: pod.name.clone(),
        ready: pod.ready && !pod.terminating,
        answered: stats.is_some(),
        error: silent.or_else(|| pod.trouble.as_ref().map(ToString::to_string)),
        total_sessions: stats.map_or(0, |stats| stats.total_sessions),
        active_sessions: stats.map_or(0, |stats| stats.active_sessions),
        waiting: stats.map_or(0, |stats| stats.waiting),
        memory_bytes: stats.map_or(0, |stats| stats.memory_bytes),
        config_current: stats.is_some_and(|stats| {
            stats.config_error.is_none()
                && told.is_none_or(|told| stats.config_revision.as_deref() == Some(told))
        }),
    }
}
