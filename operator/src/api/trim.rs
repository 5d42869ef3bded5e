//! What is kept of pools and pods: that which REST tells or asks by. A thousand of each are held in memory.

use crds::{SessionPool, SessionPoolSpec, Upstream, names};
use k8s_openapi::{
    api::core::v1::{Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

/// A pool without what only its proxies and the API server need.
pub fn pool(pool: SessionPool) -> SessionPool {
    let SessionPool { metadata, spec, status } = pool;
    SessionPool {
        metadata: ObjectMeta { annotations: None, labels: None, ..bare(metadata) },
        spec: SessionPoolSpec {
            upstream: Upstream { sidecar: spec.upstream.sidecar, ..Upstream::default() },
            auth: None,
            proxy: crds::Proxy::default(),
            service: crds::ServiceSpec::default(),
            ..spec
        },
        status,
    }
}

/// The same of a pod.
pub fn pod(pod: &mut Pod) {
    let mut metadata = bare(std::mem::take(&mut pod.metadata));
    for (kept, all) in
        [(names::POOL_LABEL, &mut metadata.labels), (names::CONFIG_REVISION, &mut metadata.annotations)]
    {
        if let Some(all) = all {
            all.retain(|name, _| name == kept);
        }
    }
    pod.metadata = metadata;
    pod.spec = None;
    if let Some(status) = pod.status.take() {
        pod.status = Some(PodStatus {
            phase: status.phase,
            pod_ip: status.pod_ip,
            conditions: status.conditions,
            container_statuses: status.container_statuses,
            init_container_statuses: status.init_container_statuses,
            ..PodStatus::default()
        });
    }
}

fn bare(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        generation: metadata.generation,
        resource_version: metadata.resource_version,
        deletion_timestamp: metadata.deletion_timestamp,
        labels: metadata.labels,
        annotations: metadata.annotations,
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use crds::{
        EffectiveSettings, PoolDefaults,
        rest::{Detail, Permissions, ServerId, Summary},
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_of_a_pool_stays() {
        let whole: SessionPool = serde_json::from_value(json!({
            "apiVersion": names::API_VERSION, "kind": names::KIND,
            "metadata": {"name": "a", "namespace": "b", "uid": "u", "generation": 4, "annotations": {"c": "d"}},
            "spec": {
                "poolEnabled": true, "poolMinSize": 2, "poolStrategy": "Weighted", "isolation": "Shared", "replicas": 3,
                "desiredState": "Drained", "proxy": {"podTemplate": {"spec": {"priorityClassName": "high"}}},
                "upstream": {"template": {"image": "a", "port": 1}}
            },
            "status": {
                "phase": "Draining", "readyReplicas": 2, "url": "http://a/mcp", "observedGeneration": 4,
                "conditions": [{
                    "type": "Drained", "status": "False", "reason": "Draining", "message": "it drains",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"
                }]
            }
        }))
        .unwrap();
        let told = |pool: &SessionPool| {
            let effective = EffectiveSettings::of(&pool.spec, &PoolDefaults::built_in());
            let summary = Summary::of(pool, &ServerId::new("b", "a"), &effective);
            Detail::of(pool, summary, Vec::new(), Permissions::default())
        };
        let kept = pool(whole.clone());
        assert_eq!(told(&kept), told(&whole));
        assert_eq!((kept.metadata.uid, kept.spec.proxy.pod_template), (Some("u".to_owned()), None));
    }

    #[test]
    fn what_is_asked_of_a_pod_stays() {
        let mut kept: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "a", "uid": "u", "labels": {"mcpgateway.io/pool": "p", "other": "b"},
                "annotations": {"mcpgateway.io/config-revision": "r", "other": "b"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "v"}]
            },
            "spec": {"containers": []},
            "status": {"podIP": "10.0.0.1", "hostIP": "10.0.0.2", "conditions": [{"type": "Ready", "status": "True"}]}
        }))
        .unwrap();
        pod(&mut kept);
        let wanted = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "a", "uid": "u", "labels": {"mcpgateway.io/pool": "p"},
                "annotations": {"mcpgateway.io/config-revision": "r"}
            },
            "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
        });
        assert_eq!(serde_json::to_value(kept).unwrap(), wanted);
    }
}
