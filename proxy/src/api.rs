//! REST of a proxy without Kubernetes. A write changes the manifest file, and by that the running pool.

pub mod manifest;
pub mod token;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, body::Body, http::StatusCode, response::IntoResponse};
use bytes::Bytes;
use crds::{
    EffectiveSettings, PoolDefaults,
    manifest::ManifestError,
    optimize::Advice,
    rest::{
        Caller, Detail, Field, FieldError, History, Permissions, PoolConfig, Pools, Problem, Recording,
        Replica, ReplicaSession, Right, ServerId, Sessions, Stats, Summary, Tally, Write, router,
    },
    wire::PoolStats,
};
use http_body_util::{BodyExt, Collected, Full};
use hyper::{Request, Response, body::Incoming};
use jiff::Timestamp;
use parking_lot::Mutex;
use tower::Service;

use self::{
    manifest::{Edit, Unwritten},
    token::TokenFile,
};
use crate::{
    admin::report,
    config::{Config, ConfigError},
    gateway::{self, Gateway},
    readiness::Readiness,
    reload::Reload,
};

/// Longest time for a request and its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// What the proxy is called where a cluster's pool names its pods.
const REPLICA: &str = "proxy";

/// The pool of this process, as REST knows it.
pub struct FilePool {
    /// What is served.
    pub gateway: Arc<Gateway>,
    /// Whether clients may come.
    pub readiness: Arc<Readiness>,
    /// What takes the file over.
    pub reload: Arc<Reload>,
    /// Who may ask.
    pub token: TokenFile,
    /// The manifest.
    pub path: PathBuf,
    /// Where clients are served.
    pub address: std::net::SocketAddr,
    /// One write at a time.
    pub writing: Mutex<()>,
    /// The last hour, and since when it is recorded.
    pub past: Mutex<(Tally, Recording, Timestamp)>,
}

/// Answers requests to REST.
#[derive(Clone)]
pub struct Rest(Router);

impl Rest {
    /// REST over a pool, whose last hour is recorded from now on.
    pub fn new(pool: FilePool) -> Self {
        let pool = Arc::new(pool);
        tokio::spawn(record(Arc::clone(&pool)));
        Self(router(pool))
    }

    /// Whether a path is one of REST.
    pub fn has(path: &str) -> bool {
        path == "/openapi.json" || path == "/api" || path.starts_with("/api/")
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut router = self.0.clone();
        let response = match tokio::time::timeout(REQUEST_TIMEOUT, router.call(request.map(Body::new))).await
        {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                let detail = format!("that took longer than {} s: try again", REQUEST_TIMEOUT.as_secs());
                Problem::unavailable(detail).into_response()
            }
        };
        let (head, body) = response.into_parts();
        // What is answered is in memory already.
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        Response::from_parts(head, Full::new(body))
    }
}

async fn record(pool: Arc<FilePool>) {
    loop {
        let stats = pool.told();
        {
            let mut past = pool.past.lock();
            let (tally, recording, _) = &mut *past;
            tally.observe(&[REPLICA], [(REPLICA, &stats)].into_iter());
            recording.push(Timestamp::now(), &stats, tally.take_growth());
        }
        tokio::time::sleep(History::INTERVAL).await;
    }
}

impl FilePool {
    fn told(&self) -> PoolStats {
        report::stats(&self.gateway, &self.readiness, &self.reload)
    }

    /// The pool, if that is the one that is asked for.
    fn of(&self, id: &ServerId) -> Result<Arc<Config>, Problem> {
        let config = self.gateway.config.load_full();
        if config.server_id == id.to_string() { Ok(config) } else { Err(Problem::not_found(id)) }
    }

    fn timed(stats: PoolStats) -> Stats {
        Stats { pool: stats, replicas: 1, observed_time: Some(Timestamp::now().to_string()), stale: false }
    }

    fn summary(&self, config: &Config, stats: PoolStats) -> Result<Summary, Problem> {
        let id = config.server_id.parse().map_err(|_| Problem::no_pool(&config.server_id))?;
        let wrong = stats.config_error.as_ref().map(|error| format!("the file is not in force: {error}"));
        let phase = if wrong.is_some() { "degraded" } else { stats.status.as_str() }.to_owned();
        let unreached = stats.upstream.message.clone();
        let message = wrong.or(unreached).unwrap_or_else(|| format!("the pool is {phase}"));
        let summary = Summary::of(&config.pool, &id, &effective(config)?);
        Ok(Summary {
            phase_message: (phase != "active").then_some(message),
            phase,
            replicas: 1,
            ready_replicas: i32::from(stats.ready),
            url: Some(format!("http://{}{}", self.address, gateway::PATH)),
            ..summary.with(&Self::timed(stats))
        })
    }

    /// Changes the file, and has it taken over.
    fn change(&self, id: &ServerId, write: &Write) -> Result<PoolConfig, Problem> {
        let _alone = self.writing.lock();
        self.of(id)?;
        let defaults = defaults()?;
        let edit = Edit::open(&self.path).map_err(|error| unwritten(&error))?;
        let before = Config::parse(edit.text(), &self.path, &defaults).map_err(|error| {
            Problem::conflict(format!("the file is not good as it is, so nothing is changed in it: {error}"))
        })?;
        let current = PoolConfig::from(&EffectiveSettings::of(&before.pool.spec, &defaults));
        let after = write.follow(&before.pool.spec, &current, &defaults, id)?;
        if after != before.pool.spec {
            let edit = edit.with(&write.change).map_err(|error| unwritten(&error))?;
            Config::parse(edit.text(), &self.path, &defaults).map_err(|error| refused(&error))?;
            edit.write().map_err(|error| unwritten(&error))?;
        }
        self.reload.take_over();
        Ok(PoolConfig::from(&EffectiveSettings::of(&after, &defaults)))
    }
}

fn defaults() -> Result<PoolDefaults, Problem> {
    let defaults = PoolDefaults::from_env(|name| std::env::var(name).ok());
    defaults.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn effective(config: &Config) -> Result<EffectiveSettings, Problem> {
    Ok(EffectiveSettings::of(&config.pool.spec, &defaults()?))
}

fn unwritten(error: &Unwritten) -> Problem {
    Problem::conflict(error.to_string())
}

/// What `--check` would say of the file, by the names of REST.
fn refused(error: &ConfigError) -> Problem {
    let complaints = match error {
        ConfigError::Manifest { source, .. } => ManifestError::complaints(source),
        _ => &[],
    };
    let named =
        |field: &str, message: &str| FieldError { field: Field::name_at(field), message: message.to_owned() };
    let mut errors: Vec<_> =
        complaints.iter().map(|complaint| named(&complaint.field, &complaint.message)).collect();
    if errors.is_empty() {
        errors.push(named("", &error.to_string()));
    }
    Problem::invalid(errors)
}

#[async_trait]
impl Pools for FilePool {
    async fn authenticate(&self, token: &str) -> Result<Caller, Problem> {
        self.token.check(token)?;
        Ok(Caller { user: "token".to_owned(), ..Caller::default() })
    }

    /// Whoever has the token has every right.
    async fn may(&self, _: &Caller, _: Right, _: &ServerId) -> Result<bool, Problem> {
        Ok(true)
    }

    async fn list(&self, _: &Caller) -> Result<Vec<Summary>, Problem> {
        Ok(vec![self.summary(&self.gateway.config.load(), self.told())?])
    }

    async fn detail(&self, id: &ServerId, permissions: Permissions) -> Result<Detail, Problem> {
        let (config, stats) = (self.of(id)?, self.told());
        let replica = Replica {
            name: REPLICA.to_owned(),
            ready: stats.ready,
            answered: true,
            error: None,
            total_sessions: stats.total_sessions,
            active_sessions: stats.active_sessions,
            waiting: stats.waiting,
            memory_bytes: stats.memory_bytes,
            config_current: stats.config_error.is_none(),
        };
        Ok(Detail::of(&config.pool, self.summary(&config, stats)?, vec![replica], permissions))
    }

    async fn config(&self, id: &ServerId) -> Result<PoolConfig, Problem> {
        Ok(PoolConfig::from(&effective(&*self.of(id)?)?))
    }

    async fn write(&self, id: &ServerId, write: Write) -> Result<PoolConfig, Problem> {
        // Writing a file waits for the disk.
        tokio::task::block_in_place(|| self.change(id, &write))
    }

    async fn stats(&self, id: &ServerId) -> Result<Stats, Problem> {
        self.of(id)?;
        Ok(Self::timed(self.told()))
    }

    async fn sessions(&self, id: &ServerId) -> Result<Sessions, Problem> {
        self.of(id)?;
        let sessions = report::sessions(&self.gateway).into_iter();
        let of_proxy = sessions.map(|session| ReplicaSession { session, replica: REPLICA.to_owned() });
        Ok(Sessions { server_id: id.to_string(), sessions: of_proxy.collect(), unanswered: Vec::new() })
    }

    async fn history(&self, id: &ServerId) -> Result<History, Problem> {
        self.of(id)?;
        let past = self.past.lock();
        Ok(past.1.history(past.2, Timestamp::now()))
    }

    async fn advice(&self, id: &ServerId) -> Result<Advice, Problem> {
        self.of(id)?;
        Ok(report::advice(&self.gateway, &self.readiness, &self.reload))
    }
}
