//! `sessionpool-operator`: see `--help`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use crds::PoolDefaults;
use kube::runtime::events::{Recorder, Reporter};
use operator::{
    admin::{self, Admin, Readiness},
    args::Args,
    client, controller,
    lease::Lease,
    memory::Memory,
    metrics::Metrics,
    reconcile::{Context, observe::StatsClient, resolve::Defaults},
    telemetry::{self, LogFilter},
    watched::Watched,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Wrong configuration, as in `sysexits.h`.
const EX_CONFIG: u8 = 78;
/// Time that running reconciles get to finish after SIGTERM.
const GRACE: Duration = Duration::from_millis(600);

fn main() -> ExitCode {
    let args = Args::parse();
    let log = match telemetry::init(args.log_format) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: {:#}", anyhow::Error::from(error));
            return ExitCode::from(EX_CONFIG);
        }
    };
    let pool = match PoolDefaults::from_env(|name| std::env::var(name).ok()) {
        Ok(pool) => pool,
        Err(error) => {
            tracing::error!("{:#}", anyhow::Error::from(error));
            return ExitCode::from(EX_CONFIG);
        }
    };
    match start(args, pool, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args, pool: PoolDefaults, log: LogFilter) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let ended = runtime.block_on(run(args, pool, log));
    runtime.shutdown_background();
    ended
}

async fn run(args: Args, pool: PoolDefaults, log: LogFilter) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let metrics = Metrics::new()?;
    let scopes = args.scopes();
    let ready = Readiness::awaiting(scopes.len());
    let listener = admin::bind(args.admin_listen).await?;
    let config = kube::Config::infer()
        .await
        .context("no way to the API server: run in a pod with a service account, or set KUBECONFIG")?;
    let server = config.cluster_url.clone();
    let client = client::build(config, metrics.requests.clone())?;
    tracing::info!(admin = %listener.local_addr()?, %server, "listening");
    tokio::spawn(admin::serve(listener, Admin { metrics: metrics.clone(), ready: ready.clone(), log }));

    let claim = args.claim();
    ready.stand_by(claim.is_some());
    let mut lease = tokio::select! {
        lease = Lease::acquire(&client, claim, &metrics) => lease,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    ready.stand_by(false);
    let context = Context {
        recorder: Recorder::new(client.clone(), Reporter::from("sessionpool-operator")),
        client,
        stats: StatsClient::new(),
        defaults: Defaults {
            pool,
            tracing: args.tracing(),
            proxy_image: args.proxy_image,
            operator_namespace: args.namespace,
        },
        watched: Watched::default(),
        memory: Arc::new(Memory::default()),
        metrics,
    };
    let stop = CancellationToken::new();
    let controllers = TaskTracker::new();
    for namespace in scopes {
        tracing::info!(namespace = namespace.as_deref().unwrap_or("all"), "watching pools");
        controllers.spawn(controller::run(&context, namespace, ready.clone(), stop.clone()));
    }
    controllers.close();
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = lease.lost() => Err(anyhow::anyhow!("another operator took over")),
        () = controllers.wait() => Err(anyhow::anyhow!("every watch ended")),
    };
    stop.cancel();
    if tokio::time::timeout(GRACE, controllers.wait()).await.is_err() {
        tracing::warn!("a reconcile was cut off; the next operator repeats it");
    }
    lease.release().await;
    tracing::info!("ended");
    ended
}
