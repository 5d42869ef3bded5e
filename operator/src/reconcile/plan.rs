//! Second step: a resolved pool becomes the children that it should have. Pure.

use std::marker::PhantomData;

use crate::{
    children::{
        Children, Planned, config_map, deployment, disruption, network, overlay::OverlayError, service,
    },
    reconcile::resolve::ResolvedPool,
};

/// The children of a pool. Fails when `spec.proxy.podTemplate` is wrong.
pub fn plan(pool: &ResolvedPool) -> Result<Children<Planned>, OverlayError> {
    let own = pool.sidecar.is_none();
    Ok(Children {
        config_map: config_map::build(&pool.owner, &pool.rendering),
        deployment: own.then(|| deployment::build(pool)).transpose()?,
        service: own.then(|| service::clients(pool)),
        peers: service::peers(&pool.owner),
        disruption: own.then(|| disruption::budget(pool)).flatten(),
        network: network::policy(pool),
        state: PhantomData,
    })
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write, fs, path::Path};

    use crds::{PoolDefaults, SessionPool};
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    use super::*;
    use crate::reconcile::{
        lifecycle::Lifecycle,
        references::References,
        resolve::{Defaults, Tracing, resolve},
    };

    fn read(name: &str) -> String {
        fs::read_to_string(path(name)).unwrap()
    }

    fn path(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reconcile/golden").join(name)
    }

    fn pool(name: &str) -> SessionPool {
        serde_yaml::from_str(&read(&format!("{name}.pool.yaml"))).unwrap()
    }

    fn references() -> References {
        let slice = json!({
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 3001}],
            "endpoints": [{"addresses": ["10.1.0.7"]}, {"addresses": ["10.1.0.5"]}]
        });
        References {
            service: serde_json::from_value(json!({"spec": {"ports": [{"name": "http", "port": 80}]}}))
                .unwrap(),
            slices: vec![serde_json::from_value(slice).unwrap()],
        }
    }

    fn planned(pool: &SessionPool) -> Children<Planned> {
        planned_with(pool, None)
    }

    fn planned_with(pool: &SessionPool, tracing: Option<Tracing>) -> Children<Planned> {
        let defaults = Defaults {
            pool: PoolDefaults::built_in(),
            proxy_image: "sessionpool-proxy:test".to_owned(),
            tracing,
            operator_namespace: Some("sessionpool".to_owned()),
        };
        plan(&resolve(pool, &defaults, &references(), &Lifecycle::default()).unwrap()).unwrap()
    }

    fn documents(children: &Children<Planned>) -> String {
        let Children { config_map, deployment, service, peers, disruption, network, state: PhantomData } =
            children;
        let objects = [
            serde_json::to_value(config_map).unwrap(),
            serde_json::to_value(deployment).unwrap(),
            serde_json::to_value(service).unwrap(),
            serde_json::to_value(peers).unwrap(),
            serde_json::to_value(disruption).unwrap(),
            serde_json::to_value(network).unwrap(),
        ];
        objects.iter().filter(|object| !object.is_null()).fold(String::new(), |mut text, object| {
            write!(text, "---\n{}", serde_yaml::to_string(object).unwrap()).unwrap();
            text
        })
    }

    fn check(name: &str) {
        check_children(name, &planned(&pool(name)));
    }

    fn check_children(name: &str, children: &Children<Planned>) {
        let children = documents(children);
        let file = format!("{name}.children.yaml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(path(&file), &children).unwrap();
        }
        assert_eq!(
            children,
            read(&file),
            "{file} differs: look at it, then run the test with UPDATE_GOLDEN=1"
        );
    }

    #[test]
    fn url() {
        check("url");
    }

    #[test]
    fn service_ref() {
        check("service_ref");
    }

    #[test]
    fn template() {
        check("template");
    }

    #[test]
    fn sidecar() {
        check("sidecar");
    }

    #[test]
    fn traced() {
        let endpoint = "http://collector.observability:4318".to_owned();
        let tracing = Tracing { endpoint, sampling_ratio: 0.1 };
        check_children("traced", &planned_with(&pool("url"), Some(tracing)));
    }

    #[test]
    fn the_rendering_is_a_manifest_that_proxies_take() {
        for name in ["url", "service_ref", "template", "sidecar"] {
            let map = planned(&pool(name)).config_map;
            let text = &map.data.unwrap()[crds::names::CONFIG_FILE];
            crds::manifest::parse(text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        }
    }

    /// Sessions live in pods, so no change of a pool parameter may replace one.
    #[test]
    fn pool_parameters_leave_the_deployment_alone() {
        let before = pool("template");
        let same = |change: fn(&mut crds::SessionPoolSpec)| {
            let mut changed = before.clone();
            change(&mut changed.spec);
            assert_ne!(changed.spec, before.spec);
            let deployment = |pool: &SessionPool| -> Deployment { planned(pool).deployment.unwrap() };
            assert_eq!(deployment(&changed), deployment(&before));
            assert_ne!(planned(&changed).config_map, planned(&before).config_map);
        };
        same(|spec| spec.pool_enabled = false);
        same(|spec| spec.pool_min_size = Some(3));
        same(|spec| spec.pool_max_size = Some(30));
        same(|spec| spec.pool_timeout = Some(5));
        same(|spec| spec.pool_recycle_seconds = Some(60));
        same(|spec| spec.pool_pre_ping = Some(false));
    }

    #[test]
    fn scaling_leaves_the_configuration_alone() {
        let before = pool("template");
        let mut after = before.clone();
        after.spec.replicas = 5;
        assert_eq!(planned(&before).config_map, planned(&after).config_map);
    }
}
