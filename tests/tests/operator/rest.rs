//! REST of the operator's real binary, with tokens and rights of the real API server.

mod access;
mod config;
mod live;
mod operations;
mod page;

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use crds::SessionPool;
use kube::{
    Api, Client,
    config::{KubeConfigOptions, Kubeconfig},
};
use tests::rest::Caller;

use crate::bench::{Bench, Binding, account, shared, somebody, until};

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  poolMinSize: 2
  isolation: Shared
  replicas: 2
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

/// A pool, its operator, and people.
struct Stage {
    bench: Bench,
    address: SocketAddr,
    /// The pool's id.
    id: String,
}

impl Stage {
    /// An operator that has its role and what it takes to ask who somebody is, with a pool `web`.
    async fn start() -> Result<Self> {
        let bench = Bench::start(&[]).await?;
        bench.apply(POOL).await?;
        let address = bench.operator.api.parse()?;
        let id = format!("{}.web", bench.namespace);
        Ok(Self { bench, address, id })
    }

    /// A path of the pool.
    fn path(&self, below: &str) -> String {
        format!("/api/servers/{}{below}", self.id)
    }

    /// Somebody with one of Kubernetes' own roles in the pool's namespace, once the API server knows that they see the pool.
    async fn person(&self, role: &str) -> Result<Person> {
        let person =
            self.someone(&account(shared().await?, role, Some(&self.bench.namespace)).await?).await?;
        until(&format!("somebody with the role {role} to be known"), async || {
            Ok((person.caller.get(&self.path("")).await?.status == 200).then_some(()))
        })
        .await?;
        // What a role holds is put together a moment after it is there; what was asked before that is kept for a while.
        let wanted = match role {
            "view" => (false, false),
            "edit" => (true, false),
            _ => (true, true),
        };
        until(&format!("all of the role {role} to be known"), async || {
            let permissions = person.caller.get(&self.path("")).await?.good()?["permissions"].clone();
            Ok((permissions["update"] == wanted.0 && permissions["operate"] == wanted.1).then_some(()))
        })
        .await?;
        Ok(person)
    }

    /// Somebody with a role that the test made in the pool's namespace.
    async fn with_role(&self, role: &str) -> Result<Person> {
        let binding = Binding { kind: "Role", role, namespace: Some(&self.bench.namespace) };
        self.someone(&somebody(shared().await?, &[binding]).await?).await
    }

    async fn someone(&self, kubeconfig: &Path) -> Result<Person> {
        Person::of(kubeconfig, self.address, &self.bench.namespace).await
    }
}

/// Somebody with a service account's token.
pub struct Person {
    /// The person at REST.
    pub caller: Caller,
    /// The same pools by the API server itself, as kubectl has them.
    pools: Api<SessionPool>,
    token: String,
}

impl Person {
    /// Whoever a kubeconfig file is about, before the REST at an address.
    pub async fn of(kubeconfig: &Path, address: SocketAddr, namespace: &str) -> Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)?;
        let value: serde_yaml::Value = serde_yaml::from_str(&text)?;
        let token = value["users"][0]["user"]["token"].as_str().context("no token")?.to_owned();
        let (file, options) = (Kubeconfig::read_from(kubeconfig)?, KubeConfigOptions::default());
        let client = Client::try_from(kube::Config::from_custom_kubeconfig(file, &options).await?)?;
        let pools = Api::namespaced(client, namespace);
        Ok(Self { caller: Caller::new(address, Some(&token)), pools, token })
    }
}
