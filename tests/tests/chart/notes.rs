//! What Helm says at the end of an installation: the next command, for the values given.

use anyhow::{Result, ensure};
use tests::helm::notes;

#[tokio::test]
async fn notes_tell_the_next_command() -> Result<()> {
    for (values, wanted) in [
        ("replicas=1", "kubectl -n default rollout status deployment/release-sessionpool-operator\n"),
        ("replicas=1", "helm test release --namespace default\n"),
        ("replicas=0", "scale deployment/release-sessionpool-operator --replicas=1\n"),
        ("watchNamespaces={a}", "kubectl get sessionpools -n a --watch\n"),
        ("watchNamespaces={a,b}", "apply a SessionPool in a or b"),
        ("crds.install=false", "kubectl get customresourcedefinition sessionpools.mcpgateway.io\n"),
        ("rbac.create=false", "--as=system:serviceaccount:default:release-sessionpool-operator -A\n"),
        ("api.enabled=true", "port-forward service/release-sessionpool-operator 8000:api\n"),
        ("ingress.enabled=true,ingress.hosts={pools.test}", "http://pools.test/\n"),
        ("injection=Disabled", "get no proxy: injection is Disabled."),
        ("injection=Auto", "this cluster serves no MutatingAdmissionPolicy"),
    ] {
        let said = notes(&["--set", values]).await?;
        ensure!(said.contains(wanted), "{values}: {said}");
    }
    let silent = notes(&["--set", "replicas=0,api.enabled=false"]).await?;
    ensure!(!silent.contains("rollout status") && !silent.contains("port-forward"), "{silent}");
    ensure!(!silent.contains("Prometheus"), "this cluster has none: {silent}");
    Ok(())
}
