//! The configuration: a SessionPool manifest, checked and turned into what the proxy's parts take.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crds::{
    Isolation, OptimizationMode, PoolStrategy, SessionPool, StickySource,
    defaults::{DefaultsError, PoolDefaults},
    manifest::{self, ManifestError},
    names,
    settings::{Settings, SettingsError},
    support,
};
use hyper::{
    HeaderMap, Uri,
    header::{self, HeaderName, HeaderValue},
};
use jiff::Timestamp;

use crate::{
    mcp::envelope::Params,
    pool::{Limits, PinReason},
    strategy::StrategyKind,
    upstream::{Destination, Scope, SessionKey, endpoints::Endpoint},
};

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path} can't be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no valid SessionPool.
    #[error("{path} is no valid SessionPool:\n{source}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
    /// It asks for what this version does not do.
    #[error("{path} asks for what this version does not do yet (NotSupported):\n{what}")]
    NotSupported {
        /// The file.
        path: PathBuf,
        /// The fields.
        what: String,
    },
    /// A `POOL_*` variable is wrong.
    #[error(transparent)]
    Defaults(#[from] DefaultsError),
    /// The numbers don't fit together.
    #[error("{path}: {source}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: SettingsError,
    },
    /// A value can't be used.
    #[error("{path}: {field}: {message}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The field's path.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The manifest.
    pub pool: SessionPool,
    /// Its numbers, with defaults.
    pub settings: Settings,
    /// `<namespace>.<name>`.
    pub server_id: String,
    /// Headers that tell principals apart, beside `Authorization`.
    pub identity_headers: Vec<HeaderName>,
    /// The header that the affinity key is in.
    pub sticky_header: Option<HeaderName>,
    /// Headers that sessions are opened with on behalf of the client.
    pub forwarded_headers: Vec<HeaderName>,
    /// Whether other proxies serve this pool's clients too: what belongs to one client may then reach any of them.
    pub is_many: bool,
    /// When a drain ends what still runs, as the operator has set it for all proxies.
    pub drain_deadline: Option<Timestamp>,
    /// The operator's hash of the rendering.
    pub revision: Option<String>,
    endpoints: Vec<(Uri, u32)>,
    fallback: Option<Uri>,
    headers: HeaderMap,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// See [`ConfigError`]; each says what to change.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let defaults = PoolDefaults::from_env(|name| std::env::var(name).ok())?;
        Self::parse(&text, path, &defaults)
    }

    /// Checks a manifest's text; `path` is for messages.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(text: &str, path: &Path, defaults: &PoolDefaults) -> Result<Self, ConfigError> {
        let pool =
            manifest::parse(text).map_err(|source| ConfigError::Manifest { path: path.into(), source })?;
        let refused = support::unsupported(&pool.spec);
        if !refused.is_empty() {
            let lines = refused.iter().map(|refusal| format!("  {}: {}", refusal.field, refusal.message));
            let what = lines.collect::<Vec<_>>().join("\n");
            return Err(ConfigError::NotSupported { path: path.into(), what });
        }
        let settings = Settings::resolve(&pool.spec, defaults)
            .map_err(|source| ConfigError::Settings { path: path.into(), source })?;
        let value = |field, message: String| ConfigError::Value { path: path.into(), field, message };
        if pool.spec.optimization.mode == OptimizationMode::Auto {
            let message = "without the operator nobody applies advice: use Recommend, and see /pool/optimize";
            return Err(value("spec.optimization.mode", message.to_owned()));
        }

        let annotation =
            |name: &str| pool.metadata.annotations.as_ref().and_then(|all| all.get(name)).cloned();
        let upstream = &pool.spec.upstream;
        let fallback = annotation(names::SERVICE_URL)
            .map(|url| uri(&url).map_err(|message| value("metadata.annotations", message)))
            .transpose()?;
        let drain_deadline = annotation(names::DRAIN_DEADLINE)
            .map(|text| text.parse::<Timestamp>())
            .transpose()
            .map_err(|error| value("metadata.annotations", format!("{}: {error}", names::DRAIN_DEADLINE)))?;
        let mut endpoints = Vec::new();
        if let Some(url) = &upstream.url {
            endpoints.push((uri(url).map_err(|message| value("spec.upstream.url", message))?, 1));
        }
        for endpoint in &upstream.endpoints {
            let uri = uri(&endpoint.url).map_err(|message| value("spec.upstream.endpoints", message))?;
            endpoints.push((uri, u32::try_from(endpoint.weight).unwrap_or(0)));
        }
        if endpoints.is_empty() && fallback.is_none() {
            let message =
                "set url or endpoints: serviceRef, template and sidecar are for the operator, which turns them \
                           into addresses"
                    .to_owned();
            return Err(value("spec.upstream", message));
        }
        let mut headers = HeaderMap::new();
        for (name, text) in &upstream.headers {
            let name = name
                .parse::<HeaderName>()
                .map_err(|error| value("spec.upstream.headers", error.to_string()))?;
            let text = HeaderValue::from_str(text)
                .map_err(|error| value("spec.upstream.headers", error.to_string()))?;
            headers.insert(name, text);
        }
        let names = |field: &'static str, list: &[String]| -> Result<Vec<HeaderName>, ConfigError> {
            let parse =
                |name: &String| name.parse().map_err(|_| value(field, format!("{name:?} is no header name")));
            list.iter().map(parse).collect()
        };
        let mut forwarded_headers = names("spec.forwardHeaders", &pool.spec.forward_headers)?;
        if is_passthrough(&pool) {
            forwarded_headers.push(header::AUTHORIZATION);
        }
        let sticky_header = pool.spec.sticky.as_ref().and_then(|sticky| sticky.header_name.clone());
        let sticky_header = names("spec.sticky.headerName", sticky_header.as_slice())?.pop();
        let namespace = pool.metadata.namespace.as_deref().unwrap_or("default");
        Ok(Self {
            server_id: format!("{namespace}.{}", pool.metadata.name.as_deref().unwrap_or_default()),
            identity_headers: names("spec.identityHeaders", &pool.spec.identity_headers)?,
            forwarded_headers,
            sticky_header,
            is_many: annotation(names::MANY).as_deref() == Some("true"),
            drain_deadline,
            revision: annotation(names::CONFIG_REVISION),
            endpoints,
            fallback,
            headers,
            settings,
            pool,
        })
    }

    /// Whether sessions are pooled; else each client session has its own.
    pub fn is_pooled(&self) -> bool {
        self.pool.spec.pool_enabled && self.pool.spec.pool_strategy != PoolStrategy::None
    }

    /// Whose requests share a session with those of this client session.
    pub fn scope(&self, client: [u8; 16], principal: [u8; 16]) -> Scope {
        if !self.is_pooled() {
            return Scope::Direct(client);
        }
        match self.pool.spec.isolation {
            Isolation::Shared => Scope::Shared,
            Isolation::Session => Scope::Client(client),
            // Without a credential nobody can tell clients apart: none shares with another.
            Isolation::Principal if principal == [0; 16] => Scope::Client(client),
            Isolation::Principal => Scope::Principal(principal),
        }
    }

    /// Whether sessions of a key may stay.
    pub fn allows(&self, key: &SessionKey) -> bool {
        let isolation = self.pool.spec.isolation;
        let scope = match key.scope {
            Scope::Direct(_) => return !self.is_pooled(),
            Scope::Client(_) => true,
            Scope::Shared => isolation == Isolation::Shared,
            Scope::Principal(_) => isolation == Isolation::Principal,
            Scope::Warm => isolation != Isolation::Shared,
        };
        let known = key.headers.iter().all(|(name, _)| self.forwarded_headers.contains(name));
        self.is_pooled() && scope && known
    }

    /// The scope of a slot that serves one client only.
    pub fn own_scope(&self, client: [u8; 16]) -> Scope {
        if self.is_pooled() { Scope::Client(client) } else { Scope::Direct(client) }
    }

    /// Why a request pins its client to the slot that carries it.
    pub fn pins(&self, method: &str, params: &Params<'_>) -> Option<PinReason> {
        let pinning = self.pool.spec.pinning.as_ref()?;
        match method {
            "tools/call" => {
                let tool = params.name.as_deref()?;
                pinning.tools.iter().any(|listed| listed == tool).then_some(PinReason::Tool)
            }
            "resources/read" | "resources/subscribe" => {
                let uri = params.uri.as_deref()?;
                let listed = pinning.resource_uri_prefixes.iter().any(|prefix| uri.starts_with(prefix));
                listed.then_some(PinReason::Resource)
            }
            _ => None,
        }
    }

    /// Whether requests are kept on one session by something, and by what.
    pub fn sticky_source(&self) -> Option<StickySource> {
        let sticky = self.is_pooled() && self.settings.strategy == PoolStrategy::Sticky;
        sticky.then(|| {
            self.pool.spec.sticky.as_ref().map_or_else(StickySource::default, |sticky| sticky.source)
        })
    }

    /// The key of the sessions that are opened before a client is known; none where a session needs the client's headers.
    pub fn warm_key(&self) -> Option<SessionKey> {
        let scope = if self.pool.spec.isolation == Isolation::Shared { Scope::Shared } else { Scope::Warm };
        (self.is_pooled() && self.forwarded_headers.is_empty()).then(|| SessionKey::warm(scope))
    }

    /// The pool's numbers.
    pub fn limits(&self) -> Limits {
        let settings = &self.settings;
        let strategy = match settings.strategy {
            PoolStrategy::RoundRobin | PoolStrategy::None => StrategyKind::RoundRobin,
            PoolStrategy::LeastConnections => StrategyKind::LeastConnections,
            PoolStrategy::Sticky => StrategyKind::Sticky,
            PoolStrategy::Weighted => StrategyKind::Weighted,
        };
        Limits {
            strategy,
            min: if self.is_pooled() { settings.min_size } else { 0 },
            max: if self.is_pooled() { settings.max_size } else { 0 },
            max_per_principal: settings.max_per_principal,
            max_direct: settings.max_direct_sessions,
            concurrency: settings.session_concurrency,
            max_waiters: settings.max_waiters,
            recycle: settings.recycle,
            idle: settings.idle,
            max_requests: settings.max_requests,
            check_after: settings.pre_ping.then_some(settings.pre_ping_delay),
            keepalive: settings.keepalive,
            sticky_max_age: settings.sticky_max_age,
        }
    }

    /// Where sessions go.
    pub fn destination(&self) -> Destination {
        let endpoint =
            |uri: &Uri, weight, fallback| Endpoint { uri: uri.clone(), label: label(uri), weight, fallback };
        let listed = self.endpoints.iter().map(|(uri, weight)| endpoint(uri, *weight, false));
        let fallback = self.fallback.iter().map(|uri| endpoint(uri, 1, true));
        Destination {
            endpoints: listed.chain(fallback).collect(),
            headers: self.headers.clone(),
            version: self.pool.spec.upstream.protocol_version.as_str().parse().ok(),
        }
    }
}

fn is_passthrough(pool: &SessionPool) -> bool {
    use crds::UpstreamAuthType;
    pool.spec.upstream.auth.as_ref().is_some_and(|auth| auth.type_ == UpstreamAuthType::Passthrough)
}

fn uri(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let good = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    good.then_some(uri).ok_or_else(|| format!("{url:?} must be an absolute http or https URL"))
}

/// The URL without what may be secret in it: user, password and query.
fn label(uri: &Uri) -> Arc<str> {
    let host = uri.authority().map_or("", |authority| {
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_, host)| host)
    });
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path()).into()
}
