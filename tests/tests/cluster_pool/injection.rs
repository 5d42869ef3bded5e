//! A person's own Deployment and Service, whose pods get the proxy of a pool beside their server.

use anyhow::{Context as _, Result, ensure};
use crds::{Phase, names};
use k8s_openapi::api::{
    apps::v1::Deployment, core::v1::Pod, discovery::v1::EndpointSlice, events::v1::Event,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tests::repository;

use crate::{field::Field, mcp::Session, steady::Steady};

const POOL: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: beside}
spec:
  poolEnabled: true
  isolation: Principal
  poolMaxSize: 20
  upstream: {sidecar: {}}
  proxy: {image: docker.io/local/sessionpool-proxy:dev}
";

const SERVICE: &str = r"
apiVersion: v1
kind: Service
metadata: {name: own}
spec:
  selector: {app: own}
  ports: [{name: mcp, port: 80, targetPort: mcp}]
";

fn deployment(name: &str, pool: &str) -> Value {
    let labels = json!({"app": name, names::INJECT: pool});
    let container = json!({
        "name": "server", "image": "docker.io/local/server-everything:dev", "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "mcp", "containerPort": 3001}],
        // A name that the proxy's port has, too: the kubelet takes the container's own.
        "readinessProbe": {"tcpSocket": {"port": "mcp"}, "periodSeconds": 1}
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        }
    })
}

/// Installs the policies, as the chart does.
async fn install(field: &Field) -> Result<()> {
    for policy in ["inject", "injected"] {
        let file = repository().join(format!("operator/policies/{policy}.yaml"));
        field.apply_any(&std::fs::read_to_string(file)?).await?;
    }
    let binding = |kind: &str, name: &str, spec: Value| {
        let (version, metadata) = ("admissionregistration.k8s.io/v1", json!({"name": name}));
        json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
    };
    let parameters = json!({"selector": {}, "parameterNotFoundAction": "Allow"});
    let spec = json!({"policyName": "sessionpool-inject", "paramRef": parameters});
    field.apply_any(&binding("MutatingAdmissionPolicyBinding", "sessionpool-inject", spec)).await?;
    let spec = json!({"policyName": "sessionpool-injected", "validationActions": ["Deny"]});
    field.apply_any(&binding("ValidatingAdmissionPolicyBinding", "sessionpool-injected", spec)).await?;
    in_force(field).await
}

/// The API server asks a policy a moment after it is there: a pod made before that goes unseen.
async fn in_force(field: &Field) -> Result<()> {
    let mut pod = deployment("probe", "nobody")["spec"]["template"].take();
    pod["metadata"]["generateName"] = json!("probe-");
    let pod: Pod = serde_json::from_value(pod)?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    field
        .until("the policies to be in force", async || match field.api::<Pod>().create(&dry, &pod).await {
            Err(kube::Error::Api(refusal)) if refusal.message.contains("sessionpool-injected") => Ok(()),
            other => anyhow::bail!("the API server answered {other:?}"),
        })
        .await
}

#[tokio::test]
async fn a_servers_own_service_leads_through_the_pool() -> Result<()> {
    let field = Field::start().await?;
    install(&field).await?;
    field.apply(POOL).await?;
    let waits = field.condition("beside", "Ready", "False").await?;
    ensure!(waits.reason == "NoInjectedPods", "{waits:?}");
    field.apply_any(SERVICE).await?;
    field.apply_any(&deployment("own", "beside").to_string()).await?;
    field.condition("beside", "Ready", "True").await?;
    ready(&field, "own").await?;
    let url = format!("http://own.{}.svc.cluster.local/mcp", field.namespace);
    let steady = Steady::new(&field, &url).await?;
    let disturbing = async {
        field
            .until("calls", async || {
                let stats = field.status("beside").await?.stats.context("no statistics")?;
                ensure!(stats.total_acquisitions > 500, "{stats:?}");
                Ok(())
            })
            .await?;
        let again = json!({"spec": {"template": {"metadata": {"annotations": {"again": "yes"}}}}});
        field.api::<Deployment>().patch("own", &PatchParams::default(), &Patch::Merge(again)).await?;
        ready(&field, "own").await.context("rolling update")?;
        let pods = field.api::<Pod>().list(&ListParams::default().labels("app=own")).await?.items;
        field.api::<Pod>().delete(&pods[0].name_any(), &DeleteParams::default()).await?;
        ready(&field, "own").await.context("a pod was deleted")
    };
    Box::pin(steady.without_failure(disturbing)).await?;
    let status = field.status("beside").await?;
    ensure!(status.url.is_none() && status.replicas == 2, "{status:?}");
    ensure!(
        ports(&field, "own").await? == [i32::from(names::INJECTED_PORT)],
        "{:?}",
        ports(&field, "own").await?
    );

    let session = Session::through(&field, "own").await?;
    ensure!(session.echo("before").await?.contains("before"));
    field.patch("beside", json!({"spec": {"desiredState": "Drained"}})).await?;
    let drained = field.condition("beside", "Drained", "True").await?;
    ensure!(drained.reason == "DrainCompleted", "{drained:?}");
    let status = status_of_a_call(&field, &url, &session).await?;
    ensure!(status == "503", "a drained pool answered {status}");
    field.patch("beside", json!({"spec": {"desiredState": "Active"}})).await?;
    field.condition("beside", "Drained", "False").await?;
    field.condition("beside", "Progressing", "False").await?;
    ensure!(session.echo("resumed").await?.contains("resumed"), "the client's session goes on");
    let status = field.status("beside").await?;
    ensure!(status.phase == Some(Phase::Active), "what a drained pool refused speaks against it: {status:?}");
    Ok(())
}

/// The HTTP status of one call of a client session, which is not repeated.
async fn status_of_a_call(field: &Field, url: &str, session: &Session) -> Result<String> {
    let headers = [
        "content-type: application/json".to_owned(),
        "accept: application/json, text/event-stream".to_owned(),
        format!("mcp-session-id: {}", session.id),
    ];
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let mut command = vec!["curl", "-so/dev/null", "--max-time", "10", "-w", "%{http_code}", "-d", call, url];
    command.extend(headers.iter().flat_map(|header| ["-H", header]));
    field.run(&command).await
}

/// The ports of the pods behind a Service.
async fn ports(field: &Field, service: &str) -> Result<Vec<i32>> {
    let own = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = field.api::<EndpointSlice>().list(&own).await?.items;
    Ok(slices.iter().flat_map(|slice| slice.ports.iter().flatten()).filter_map(|port| port.port).collect())
}

/// Waits until a Deployment is done, and its old pods are gone.
async fn ready(field: &Field, name: &str) -> Result<()> {
    field
        .until(&format!("Deployment {name}"), async || {
            let deployment = field.api::<Deployment>().get(name).await?;
            let status = deployment.status.context("no status")?;
            let pods = field.api::<Pod>().list(&ListParams::default().labels(&format!("app={name}"))).await?;
            ensure!(
                status.observed_generation == deployment.metadata.generation
                    && status.updated_replicas == Some(2)
                    && status.ready_replicas == Some(2)
                    && pods.items.len() == 2,
                "{status:?}, {} pods",
                pods.items.len()
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_deployment_without_its_pool_says_so() -> Result<()> {
    let field = Field::start().await?;
    install(&field).await?;
    field.apply_any(&deployment("alone", "nobody").to_string()).await?;
    let note = field
        .until("the refusal", async || {
            let events = field.api::<Event>().list(&ListParams::default()).await?.items;
            let about =
                |event: &Event| event.regarding.as_ref()?.name.as_ref()?.starts_with("alone-").then_some(());
            let failed = |event: &Event| event.reason.as_deref() == Some("FailedCreate");
            let found = events.into_iter().find(|event| failed(event) && about(event).is_some());
            found.and_then(|event| event.note).context("no event")
        })
        .await?;
    ensure!(note.contains("asks for SessionPool \"nobody\"") && note.contains("create it"), "{note}");
    let pods = field.api::<Pod>().list(&ListParams::default().labels("app=alone")).await?;
    ensure!(pods.items.is_empty(), "{} pods", pods.items.len());
    Ok(())
}
