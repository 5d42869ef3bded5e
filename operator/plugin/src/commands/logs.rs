//! `logs`: what a pool's proxies log, with the pod's name before each line.

use std::collections::HashMap;

use futures::{AsyncBufRead, AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::LogParams};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::{
    args::Logs,
    connect::Cluster,
    failure::{Asked, Failure},
    fleet::{PERIOD, pods, proxy_container},
    output::put,
    pools,
};

/// Shows them.
pub async fn run(cluster: &Cluster, logs: &Logs) -> Result<(), Failure> {
    let name = &logs.pool.name;
    let pool = pools::get(cluster, name).await?;
    let found = pods(cluster, name).await?;
    let wanted = |pod: &Pod| Some((pod.name_any(), container(pod, logs.server)?.to_owned()));
    let sources: Vec<(String, String)> = found.iter().filter_map(wanted).collect();
    if sources.is_empty() && !logs.follow {
        return Err(Failure::NotFound(match (found.len(), logs.server) {
            (0, _) => format!("{name} has no pod: {}", crate::page::why(&pool).unwrap_or_default()),
            (_, true) => format!("the MCP server of {name} does not run beside its proxies"),
            (_, false) => format!("no pod of {name} has a proxy"),
        }));
    }
    if logs.follow { follow(cluster, logs).await } else { once(cluster, logs, sources).await }
}

async fn once(cluster: &Cluster, logs: &Logs, sources: Vec<(String, String)>) -> Result<(), Failure> {
    let mut failure = None;
    for (pod, container) in sources {
        match lines(cluster, &pod, &container, logs).await {
            Ok(lines) => {
                let mut lines = std::pin::pin!(lines.lines());
                while let Some(line) = lines.next().await {
                    put(&format!("[{pod}] {}\n", line?))?;
                }
            }
            // The others may have something to say.
            Err(error) => {
                anstream::eprintln!("[{pod}] {error}");
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Every pod has a task that reads; pods that come later get one, too.
async fn follow(cluster: &Cluster, logs: &Logs) -> Result<(), Failure> {
    let (sender, mut receiver) = mpsc::channel::<Result<String, Failure>>(1024);
    let mut readers: JoinSet<String> = JoinSet::new();
    // How often each pod's log was begun: after the first time only what is new is wanted.
    let mut begun: HashMap<String, usize> = HashMap::new();
    let mut running: Vec<String> = Vec::new();
    loop {
        for pod in pods(cluster, &logs.pool.name).await? {
            let name = pod.name_any();
            let Some(container) = container(&pod, logs.server) else { continue };
            if running.contains(&name) || !has_started(&pod, container) {
                continue;
            }
            let times = begun.entry(name.clone()).or_default();
            let mut logs = logs.clone();
            if *times > 0 {
                logs.since = Some(PERIOD);
            }
            *times += 1;
            running.push(name.clone());
            let (cluster, sender, container) = (cluster.clone(), sender.clone(), container.to_owned());
            readers.spawn(async move {
                if let Err(error) = read(&cluster, &name, &container, &logs, &sender).await {
                    let _ = sender.send(Err(error)).await;
                }
                name
            });
        }
        let pause = sleep(PERIOD);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                line = receiver.recv() => match line {
                    Some(Ok(line)) => put(&line)?,
                    Some(Err(failure @ Failure::Forbidden(_))) => return Err(failure),
                    Some(Err(failure)) => anstream::eprintln!("{failure}"),
                    None => return Ok(()),
                },
                Some(Ok(ended)) = readers.join_next() => running.retain(|name| *name != ended),
                _ = tokio::signal::ctrl_c() => return Ok(()),
                () = &mut pause => break,
            }
        }
    }
}

async fn read(
    cluster: &Cluster,
    pod: &str,
    container: &str,
    logs: &Logs,
    sender: &mpsc::Sender<Result<String, Failure>>,
) -> Result<(), Failure> {
    let mut lines = std::pin::pin!(lines(cluster, pod, container, logs).await?.lines());
    while let Some(line) = lines.next().await {
        if sender.send(Ok(format!("[{pod}] {}\n", line?))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn lines(
    cluster: &Cluster,
    pod: &str,
    container: &str,
    logs: &Logs,
) -> Result<impl AsyncBufRead + use<>, Failure> {
    let since = logs.since.map(|since| i64::try_from(since.as_secs().max(1)).unwrap_or(i64::MAX));
    let params = LogParams {
        container: Some(container.to_owned()),
        follow: logs.follow,
        previous: logs.previous,
        since_seconds: since,
        tail_lines: (logs.tail >= 0).then_some(logs.tail),
        timestamps: logs.timestamps,
        ..LogParams::default()
    };
    let asked = Asked { verb: "get", resource: "pods/log", namespace: Some(&cluster.namespace) };
    cluster.api::<Pod>().log_stream(pod, &params).await.map_err(|error| Failure::of(&error, asked))
}

/// The proxy's container, or the MCP server's.
fn container(pod: &Pod, server: bool) -> Option<&str> {
    if !server {
        return proxy_container(pod);
    }
    let spec = pod.spec.as_ref()?;
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let named = all.clone().find(|container| container.name == crds::names::SERVER_CONTAINER);
    // In a pod of somebody else's making it is the one beside the proxy.
    let other = || all.find(|container| Some(container.name.as_str()) != proxy_container(pod));
    named.or_else(other).map(|container| container.name.as_str())
}

fn has_started(pod: &Pod, container: &str) -> bool {
    let Some(status) = &pod.status else { return false };
    let mut all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let state = all.find(|status| status.name == container).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.running.is_some())
}
