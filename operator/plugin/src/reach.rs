//! The way to a proxy's admin port, which is not reachable from where people are.
//!
//! First the API server's proxy: one plain GET, which also passes gateways that allow no WebSockets. Kubernetes' role
//! `edit` has the permission (`get` on `pods/proxy`), as it has that for forwarding ports. Where the API server can't
//! reach pods, or a NetworkPolicy keeps it out (`guard.networkPolicy: Managed`), a port is forwarded: that goes by way
//! of the kubelet and arrives inside of the pod.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crds::names;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;

use crate::{
    connect::Cluster,
    failure::{Asked, chain, is_forbidden, words},
};

/// Longest time for one answer, by either way.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why a proxy could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// The user may go neither way.
    Forbidden,
    /// Neither way led there, or the proxy said something else.
    Failed(String),
}

/// Asks proxies. Remembers which way leads there.
#[derive(Debug, Default)]
pub struct Reach {
    forward_first: AtomicBool,
}

impl Reach {
    /// What a proxy says at a path of its admin port.
    ///
    /// # Errors
    /// If it can't be asked.
    pub async fn get<T: DeserializeOwned>(
        &self,
        cluster: &Cluster,
        pod: &str,
        path: &str,
    ) -> Result<T, Unreached> {
        let text = self.text(cluster, pod, path).await?;
        serde_json::from_str(&text)
            .map_err(|error| Unreached::Failed(format!("it says something else: {error}")))
    }

    async fn text(&self, cluster: &Cluster, pod: &str, path: &str) -> Result<String, Unreached> {
        let proxied = async || within(proxy(cluster, pod, path)).await;
        let forwarded = async || within(forward(cluster, pod, path)).await;
        if self.forward_first.load(Ordering::Relaxed) {
            return match forwarded().await {
                Err(_) => proxied().await,
                answer => answer,
            };
        }
        let first = match proxied().await {
            Err(error) => error,
            answer => return answer,
        };
        match (forwarded().await, first) {
            (Ok(text), _) => {
                self.forward_first.store(true, Ordering::Relaxed);
                Ok(text)
            }
            // What is worth telling is why the way that is open led nowhere.
            (Err(error), Unreached::Forbidden) => Err(error),
            (Err(_), first) => Err(first),
        }
    }
}

/// What is missing for a user to whom both ways are closed.
pub fn missing(namespace: &str) -> String {
    Asked { verb: "get", resource: "pods/proxy", namespace: Some(namespace) }.missing()
}

async fn within(answer: impl Future<Output = Result<String, Unreached>>) -> Result<String, Unreached> {
    let late = || Unreached::Failed(format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(late()))
}

fn unreached(error: &kube::Error) -> Unreached {
    if is_forbidden(error) { Unreached::Forbidden } else { Unreached::Failed(words(error)) }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Unreached {
    Unreached::Failed(chain(error))
}

async fn proxy(cluster: &Cluster, pod: &str, path: &str) -> Result<String, Unreached> {
    let uri =
        format!("/api/v1/namespaces/{}/pods/{pod}:{}/proxy{path}", cluster.namespace, names::ADMIN_PORT);
    let request = Request::get(uri).body(Vec::new()).map_err(|error| failed(&error))?;
    cluster.client.request_text(request).await.map_err(|error| unreached(&error))
}

async fn forward(cluster: &Cluster, pod: &str, path: &str) -> Result<String, Unreached> {
    let port = names::ADMIN_PORT;
    let pods = cluster.api::<Pod>();
    let mut forwarder = pods.portforward(pod, &[port]).await.map_err(|error| match &error {
        kube::Error::UpgradeConnection(kube::client::UpgradeConnectionError::ProtocolSwitch(status))
            if status.as_u16() == 403 =>
        {
            Unreached::Forbidden
        }
        _ => unreached(&error),
    })?;
    let none = || Unreached::Failed("the port could not be forwarded".to_owned());
    let stream = forwarder.take_stream(port).ok_or_else(none)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new());
        let response = sender
            .send_request(request.map_err(|error| failed(&error))?)
            .await
            .map_err(|error| failed(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        if !status.is_success() {
            return Err(Unreached::Failed(format!("it answers {status}")));
        }
        String::from_utf8(body.to_vec()).map_err(|error| failed(&error))
    };
    let answer = answer.await;
    driver.abort();
    forwarder.abort();
    answer
}
