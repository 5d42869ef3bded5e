//! The proxies' Deployment. Nothing that pool parameters, drain or reset touch stands in its pod template: a change of
//! those reaches running proxies through their configuration.

use crds::{UpstreamTemplate, names};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource,
            HTTPGetAction, Lifecycle, LifecycleHandler, ObjectFieldSelector, PodSecurityContext, PodSpec,
            PodTemplateSpec, Probe, SeccompProfile, SecretVolumeSource, SecurityContext, SleepAction,
            TCPSocketAction, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use crate::{
    children::{
        overlay::{self, OverlayError},
        placement,
    },
    reconcile::resolve::ResolvedPool,
};

/// User and group of both containers.
const USER: i64 = 65532;
/// Seconds between a pod's deletion and SIGTERM, so that no new connection comes any more.
const PRE_STOP_SECONDS: i64 = 5;
/// Where the configuration is mounted.
const CONFIG_DIR: &str = "/etc/sessionpool";
/// Where the session key is mounted.
const KEY_DIR: &str = "/etc/sessionpool-key";
/// Name of the MCP server's port.
const SERVER_PORT_NAME: &str = "mcp-server";

/// The Deployment of a pool. Fails when `spec.proxy.podTemplate` is wrong.
pub fn build(pool: &ResolvedPool) -> Result<Deployment, OverlayError> {
    let owner = &pool.owner;
    let selector = names::selector_labels(&owner.name);
    let mut template = pod_template(pool);
    if let Some(changes) = &pool.fleet.pod_template {
        overlay::merge(&mut template, changes, &names::labels(&owner.name))?;
    }
    Ok(Deployment {
        metadata: owner.child(names::deployment(&owner.name)),
        spec: Some(DeploymentSpec {
            replicas: Some(pool.fleet.replicas),
            revision_history_limit: Some(3),
            selector: LabelSelector { match_labels: Some(selector), match_expressions: None },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::String("25%".to_owned())),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}

/// The label selector of a pool's pods, as text.
pub fn selector_string(pool: &str) -> String {
    let pairs: Vec<String> =
        names::selector_labels(pool).into_iter().map(|(label, value)| format!("{label}={value}")).collect();
    pairs.join(",")
}

fn pod_template(pool: &ResolvedPool) -> PodTemplateSpec {
    let name = &pool.owner.name;
    let secrets = &pool.fleet.image_pull_secrets;
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(names::labels(name)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(pool.fleet.grace_seconds),
            image_pull_secrets: (!secrets.is_empty()).then(|| secrets.clone()),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            affinity: Some(placement::apart_by_zone(name)),
            topology_spread_constraints: Some(vec![placement::over_nodes(name)]),
            // A native sidecar starts before the proxy and ends after it, so the proxy drains while its server runs.
            init_containers: pool.server.as_ref().map(|server| vec![server_container(server)]),
            containers: vec![proxy_container(pool)],
            volumes: Some(vec![config_volume(name), key_volume(name)]),
            ..PodSpec::default()
        }),
    }
}

fn proxy_container(pool: &ResolvedPool) -> Container {
    Container {
        name: names::PROXY_CONTAINER.to_owned(),
        image: Some(pool.fleet.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(vec![
            format!("--config={CONFIG_DIR}/{}", names::CONFIG_FILE),
            format!("--listen=0.0.0.0:{}", names::MCP_PORT),
            format!("--admin-listen=0.0.0.0:{}", names::ADMIN_PORT),
            format!("--session-key-file={KEY_DIR}/{}", names::SESSION_KEY_FILE),
            format!(
                "--peers={}.{}.svc:{}",
                names::peers_service(&pool.owner.name),
                pool.owner.namespace,
                names::PEER_PORT
            ),
            format!("--peer-listen=0.0.0.0:{}", names::PEER_PORT),
            "--log-format=json".to_owned(),
        ]),
        env: Some(environment(pool)),
        ports: Some(vec![
            port(names::MCP_PORT_NAME, i32::from(names::MCP_PORT)),
            port(names::ADMIN_PORT_NAME, i32::from(names::ADMIN_PORT)),
            port(names::PEER_PORT_NAME, i32::from(names::PEER_PORT)),
        ]),
        resources: pool.fleet.resources.clone(),
        startup_probe: Some(Probe { failure_threshold: Some(60), ..http_probe("/livez", 1) }),
        readiness_probe: Some(http_probe("/readyz", 2)),
        liveness_probe: Some(Probe { timeout_seconds: Some(5), ..http_probe("/livez", 10) }),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: PRE_STOP_SECONDS }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext { read_only_root_filesystem: Some(true), ..confined() }),
        volume_mounts: Some(vec![mount("config", CONFIG_DIR), mount("session-key", KEY_DIR)]),
        ..Container::default()
    }
}

/// Where the other proxies reach this one, what is logged, and where traces go.
fn environment(pool: &ResolvedPool) -> Vec<EnvVar> {
    let mut variables = vec![field("SESSIONPOOL_PEER_ADDRESS", "status.podIP")];
    variables.extend(pool.fleet.log_filter.as_deref().map(|filter| variable("RUST_LOG", filter)));
    if let Some(tracing) = &pool.fleet.tracing {
        let place = format!("k8s.namespace.name={},k8s.pod.name=$(POD_NAME)", pool.owner.namespace);
        variables.extend([
            field("POD_NAME", "metadata.name"),
            variable("OTEL_EXPORTER_OTLP_ENDPOINT", &tracing.endpoint),
            variable("OTEL_RESOURCE_ATTRIBUTES", &place),
            variable("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            variable("OTEL_TRACES_SAMPLER_ARG", &tracing.sampling_ratio.to_string()),
        ]);
    }
    variables
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

/// What Kubernetes knows about the pod.
fn field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { field_path: path.to_owned(), api_version: None };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

fn server_container(server: &UpstreamTemplate) -> Container {
    let filled = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    Container {
        name: names::SERVER_CONTAINER.to_owned(),
        image: Some(server.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: filled(&server.command),
        args: filled(&server.args),
        env: (!server.env.is_empty()).then(|| server.env.clone()),
        ports: Some(vec![port(SERVER_PORT_NAME, server.port)]),
        resources: server.resources.clone(),
        restart_policy: Some("Always".to_owned()),
        startup_probe: Some(Probe {
            tcp_socket: Some(TCPSocketAction {
                port: IntOrString::String(SERVER_PORT_NAME.to_owned()),
                ..TCPSocketAction::default()
            }),
            period_seconds: Some(1),
            failure_threshold: Some(120),
            ..Probe::default()
        }),
        security_context: Some(confined()),
        ..Container::default()
    }
}

fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

fn http_probe(path: &str, period_seconds: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(names::ADMIN_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        ..Probe::default()
    }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn config_volume(pool: &str) -> Volume {
    Volume {
        name: "config".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: names::config_map(pool),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn key_volume(pool: &str) -> Volume {
    Volume {
        name: "session-key".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(names::session_key_secret(pool)),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}
