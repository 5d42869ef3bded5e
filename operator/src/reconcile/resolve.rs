//! First step: a specification, the operator's defaults and what was looked up become one pool that is understood.
//! Pure. After it nobody reads the object for configuration.

use crds::{
    EffectiveSettings, Endpoint, Isolation, PoolDefaults, ServiceRef, SessionPool, SessionPoolSpec, Settings,
    Upstream, UpstreamSidecar, UpstreamTemplate, support,
};
use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements};
use serde_json::Value;

use crate::{
    advice,
    children::{
        Owner,
        config_map::{self, Rendering},
    },
    conditions::Reason,
    reconcile::{
        endpoints::{service_url, url, urls},
        lifecycle::Lifecycle,
        observe::describe,
        references::References,
    },
};

/// Most addresses of a Service that are rendered: as many as `upstream.endpoints` may hold.
const MOST_ENDPOINTS: usize = 1000;

/// A pool with every default and reference resolved.
#[derive(Debug, Clone)]
pub struct ResolvedPool {
    /// Who owns the children.
    pub owner: Owner,
    /// The proxies' configuration.
    pub rendering: Rendering,
    /// The settings in force, for the status.
    pub effective: EffectiveSettings,
    /// The settings that the specification and the operator's defaults ask for.
    pub asked: EffectiveSettings,
    /// The MCP server that runs in the proxies' pods.
    pub server: Option<UpstreamTemplate>,
    /// The MCP server in pods of somebody else's making.
    pub sidecar: Option<UpstreamSidecar>,
    /// The proxies' pods.
    pub fleet: FleetSpec,
    /// The clients' Service.
    pub service: crds::ServiceSpec,
    /// What guards the proxies.
    pub guard: crds::Guard,
    /// Where the operator runs; nothing outside of a cluster.
    pub operator_namespace: Option<String>,
    /// What a person should know about how it was understood.
    pub remark: String,
    /// What is missing without keeping the proxies from running.
    pub missing: Option<Refusal>,
}

/// What the proxies' Deployment is made of.
#[derive(Debug, Clone)]
pub struct FleetSpec {
    /// Wanted proxies.
    pub replicas: i32,
    /// Image of the proxy.
    pub image: String,
    /// Secrets for pulling images.
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The proxy's requests and limits.
    pub resources: Option<ResourceRequirements>,
    /// The proxy's `RUST_LOG`.
    pub log_filter: Option<String>,
    /// Where the proxy sends its traces, if it does.
    pub tracing: Option<Tracing>,
    /// A person's changes to the pod.
    pub pod_template: Option<Value>,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_seconds: i64,
}

/// Why a specification is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One word.
    pub reason: Reason,
    /// What to do about it.
    pub message: String,
}

impl Refusal {
    /// A refusal with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What the operator adds to every pool.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The env-backed settings.
    pub pool: PoolDefaults,
    /// The image of proxies that name none.
    pub proxy_image: String,
    /// Where proxies send their traces, if they do.
    pub tracing: Option<Tracing>,
    /// Where the operator runs; nothing outside of a cluster.
    pub operator_namespace: Option<String>,
}

/// Where proxies send their traces.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// URL of an OTLP endpoint.
    pub endpoint: String,
    /// The share of the traces that they begin, 0 to 1.
    pub sampling_ratio: f64,
}

/// Understands a pool, or says why it can't be followed.
pub fn resolve(
    pool: &SessionPool,
    defaults: &Defaults,
    references: &References,
    lifecycle: &Lifecycle,
) -> Result<ResolvedPool, Refusal> {
    let spec = &pool.spec;
    let owner =
        Owner::of(pool).ok_or_else(|| Refusal::new(Reason::InvalidSpec, "the object has no uid yet"))?;
    supported(spec)?;
    Settings::resolve(spec, &defaults.pool).map_err(|error| invalid(&error))?;
    let asked = EffectiveSettings::of(spec, &defaults.pool);
    let recommendation = pool.status.as_ref().and_then(|status| status.recommendation.as_ref());
    let effective = advice::in_force(spec, &asked, recommendation);
    let dial = dial(&owner, &spec.upstream, references);
    let rendered = SessionPoolSpec {
        upstream: dial.upstream,
        reset_token: lifecycle.token.clone(),
        optimization: advice::bounds(&spec.optimization, &asked),
        ..filled(spec, &effective)
    };
    let rendering = config_map::render(&owner, &rendered, dial.service_url.as_deref(), lifecycle.deadline)
        .map_err(|error| invalid(&error))?;
    Ok(ResolvedPool {
        rendering,
        effective,
        asked,
        server: spec.upstream.template.clone(),
        sidecar: spec.upstream.sidecar.clone(),
        fleet: FleetSpec {
            replicas: spec.replicas,
            image: spec.proxy.image.clone().unwrap_or_else(|| defaults.proxy_image.clone()),
            image_pull_secrets: spec.proxy.image_pull_secrets.clone(),
            resources: spec.proxy.resources.clone(),
            log_filter: spec.proxy.log_filter.clone(),
            tracing: defaults.tracing.clone(),
            pod_template: spec.proxy.pod_template.clone(),
            grace_seconds: spec.termination_grace_period_seconds,
        },
        service: spec.service.clone(),
        guard: spec.guard.clone(),
        operator_namespace: defaults.operator_namespace.clone(),
        remark: dial.remark.unwrap_or_else(|| remark(spec)),
        missing: dial.missing,
        owner,
    })
}

fn invalid(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(Reason::InvalidSpec, describe(error))
}

/// Reads a rendering as a proxy reads it: a rule that holds for what the person wrote may not hold for it with the
/// defaults in. This compiles every rule, so it is worth remembering which revisions passed.
pub fn check(rendering: &Rendering) -> Result<(), Refusal> {
    let Err(error) = crds::manifest::parse(&rendering.text) else { return Ok(()) };
    let complaints: Vec<String> = error
        .complaints()
        .iter()
        .map(|complaint| format!("{}: {}", complaint.field, complaint.message))
        .collect();
    Err(Refusal::new(Reason::InvalidSpec, complaints.join("; ")))
}

fn supported(spec: &SessionPoolSpec) -> Result<(), Refusal> {
    let refused: Vec<String> = support::unsupported(spec)
        .into_iter()
        .map(|refused| format!("{}: {}", refused.field, refused.message))
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Refusal::new(Reason::NotSupported, refused.join("; "))) }
}

/// The specification with every env-backed setting in it.
fn filled(spec: &SessionPoolSpec, effective: &EffectiveSettings) -> SessionPoolSpec {
    let EffectiveSettings {
        pool_enabled,
        pool_strategy,
        pool_min_size,
        pool_max_size,
        pool_timeout,
        pool_recycle_seconds,
        pool_pre_ping,
    } = *effective;
    SessionPoolSpec {
        pool_enabled,
        pool_strategy,
        pool_min_size: Some(pool_min_size),
        pool_max_size: Some(pool_max_size),
        pool_timeout: Some(pool_timeout),
        pool_recycle_seconds: Some(pool_recycle_seconds),
        pool_pre_ping: Some(pool_pre_ping),
        ..spec.clone()
    }
}

fn remark(spec: &SessionPoolSpec) -> String {
    match spec.isolation {
        Isolation::Principal => {
            "the specification is understood; clients are not authenticated, so one without a \
            credential shares its sessions with nobody"
                .to_owned()
        }
        Isolation::Session | Isolation::Shared => "the specification is understood".to_owned(),
    }
}

/// What the proxies dial.
struct Dial {
    upstream: Upstream,
    service_url: Option<String>,
    missing: Option<Refusal>,
    remark: Option<String>,
}

fn dial(owner: &Owner, upstream: &Upstream, references: &References) -> Dial {
    let plain = |upstream| Dial { upstream, service_url: None, missing: None, remark: None };
    if let Some(server) = &upstream.template {
        let url = url("127.0.0.1", server.port, &server.path);
        return plain(Upstream { template: None, url: Some(url), ..upstream.clone() });
    }
    if let Some(server) = &upstream.sidecar {
        let url = url("127.0.0.1", server.port, &server.path);
        return plain(Upstream { sidecar: None, url: Some(url), ..upstream.clone() });
    }
    match &upstream.service_ref {
        Some(wanted) => dial_service(owner, upstream, wanted, references),
        None => plain(upstream.clone()),
    }
}

fn dial_service(owner: &Owner, upstream: &Upstream, wanted: &ServiceRef, references: &References) -> Dial {
    let ServiceRef { name, port, path } = wanted;
    let by_name = service_url(&owner.namespace, name, *port, path);
    let found = match &references.service {
        None => {
            let message = format!("there is no Service {name} in namespace {}", owner.namespace);
            Err(Refusal::new(Reason::ServiceNotFound, message))
        }
        Some(service) => urls(service, &references.slices, *port, path)
            .map_err(|error| Refusal::new(Reason::PortNotFound, format!("Service {name}: {error}"))),
    };
    let (mut urls, missing) = match found {
        Ok(urls) => (urls, None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    let remark = (urls.len() > MOST_ENDPOINTS).then(|| {
        format!("Service {name} has {} ready addresses, the first {MOST_ENDPOINTS} are used", urls.len())
    });
    urls.truncate(MOST_ENDPOINTS);
    let rewritten = Upstream { service_ref: None, ..upstream.clone() };
    let upstream = if urls.is_empty() {
        Upstream { url: Some(by_name.clone()), ..rewritten }
    } else {
        Upstream {
            endpoints: urls.into_iter().map(|url| Endpoint { url, ..Endpoint::default() }).collect(),
            ..rewritten
        }
    };
    Dial { upstream, service_url: Some(by_name), missing, remark }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn pool(spec: &Value) -> SessionPool {
        let metadata = json!({"name": "p", "namespace": "ns", "uid": "u", "generation": 1});
        let kind = crds::names::KIND;
        serde_json::from_value(json!({
            "apiVersion": crds::names::API_VERSION, "kind": kind, "metadata": metadata, "spec": spec
        }))
        .unwrap()
    }

    pub(crate) fn resolved(spec: &Value) -> Result<ResolvedPool, Refusal> {
        let defaults = Defaults {
            pool: PoolDefaults::built_in(),
            proxy_image: "proxy:1".to_owned(),
            tracing: None,
            operator_namespace: None,
        };
        resolve(&pool(spec), &defaults, &References::default(), &Lifecycle::default())
    }

    fn url_upstream() -> Value {
        json!({"url": "http://mcp.example.com/mcp"})
    }

    #[test]
    fn defaults_must_fit_what_is_set() {
        let refusal = resolved(&json!({"poolMinSize": 11, "upstream": url_upstream()})).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidSpec);
        assert!(refusal.message.contains("poolMinSize 11"), "{}", refusal.message);
    }

    #[test]
    fn a_rendering_that_proxies_refuse_is_refused_first() {
        let good = resolved(&json!({"upstream": url_upstream()})).unwrap().rendering;
        assert_eq!(check(&good), Ok(()));
        let text = good.text.replace("poolMaxSize: 10", "poolMaxSize: 0");
        let refusal = check(&Rendering { text, ..good }).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidSpec);
        assert!(refusal.message.contains("spec.poolMaxSize"), "{}", refusal.message);
    }

    #[test]
    fn what_is_not_implemented_is_refused_by_name() {
        let refusal = resolved(&json!({"tlsSecretName": "tls", "upstream": url_upstream()})).unwrap_err();
        assert_eq!(refusal.reason, Reason::NotSupported);
        assert!(refusal.message.contains("tlsSecretName"), "{}", refusal.message);
    }

    #[test]
    fn a_missing_service_is_dialled_by_name() {
        let pool = resolved(&json!({"upstream": {"serviceRef": {"name": "srv", "port": 80}}})).unwrap();
        assert_eq!(pool.missing.unwrap().reason, Reason::ServiceNotFound);
        assert!(pool.rendering.text.contains("url: http://srv.ns.svc.cluster.local:80/mcp"));
    }

    #[test]
    fn the_revision_is_that_of_the_content() {
        let revision = |spec: &Value| resolved(spec).unwrap().rendering.revision;
        let one = revision(&json!({"upstream": url_upstream()}));
        assert_eq!(one.len(), 16);
        assert_eq!(one, revision(&json!({"upstream": url_upstream(), "poolMaxSize": 10})));
        assert_ne!(one, revision(&json!({"upstream": url_upstream(), "poolMaxSize": 11})));
        assert_eq!(one, revision(&json!({"upstream": url_upstream(), "service": {"port": 80}})));
    }

    #[test]
    fn the_image_of_the_pool_wins() {
        let image = |spec: &Value| resolved(spec).unwrap().fleet.image;
        assert_eq!(image(&json!({"upstream": url_upstream()})), "proxy:1");
        assert_eq!(image(&json!({"upstream": url_upstream(), "proxy": {"image": "mine:2"}})), "mine:2");
    }
}
