//! `sessionpool-operator`: see `--help`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use crds::{PoolDefaults, rest};
use kube::runtime::events::{Recorder, Reporter};
use operator::{
    admin::{self, Admin, Readiness},
    api::{Api, serve},
    args::{Args, Listen},
    client, controller, installation,
    lease::Lease,
    memory::Memory,
    metrics::Metrics,
    reconcile::{Context, observe::StatsClient, resolve::Defaults},
    telemetry::{self, LogFilter},
    ui,
    watched::Watched,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Wrong configuration, as in `sysexits.h`.
const EX_CONFIG: u8 = 78;
/// Time that running reconciles get to finish after SIGTERM.
const GRACE: Duration = Duration::from_millis(600);

/// What asks the process to end.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let log = match telemetry::init(args.log_format) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: {:#}", anyhow::Error::from(error));
            return ExitCode::from(EX_CONFIG);
        }
    };
    if !args.check.is_empty() {
        return ended(check(&args));
    }
    let pool = match PoolDefaults::from_env(|name| std::env::var(name).ok()) {
        Ok(pool) => pool,
        Err(error) => {
            tracing::error!("{:#}", anyhow::Error::from(error));
            return ExitCode::from(EX_CONFIG);
        }
    };
    ended(start(run(args, pool, log)))
}

fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    ended
}

/// What `--check` asks for.
fn check(args: &Args) -> Result<()> {
    start(async {
        let client = kube::Client::try_from(api_server().await?)?;
        installation::check(&args.check, &args.scopes(), &client).await?;
        Ok(())
    })
}

async fn api_server() -> Result<kube::Config> {
    kube::Config::infer()
        .await
        .context("no way to the API server: run in a pod with a service account, or set KUBECONFIG")
}

async fn run(args: Args, pool: PoolDefaults, log: LogFilter) -> Result<()> {
    let ending =
        Ending { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let metrics = Metrics::new()?;
    let scopes = args.scopes();
    let ready = Readiness::awaiting(scopes.len());
    let listener = admin::bind(args.admin_listen).await?;
    let config = api_server().await?;
    let server = config.cluster_url.clone();
    let client = client::build(config, metrics.requests.clone())?;
    let stop = CancellationToken::new();
    let rest = match args.api_listen {
        Listen::At(address) => Some(serve::bind(address).await?),
        Listen::Off => None,
    };
    let rest_address = rest.as_ref().and_then(|listener| listener.local_addr().ok());
    let rest_address = rest_address.map(tracing::field::display);
    tracing::info!(admin = %listener.local_addr()?, api = rest_address, %server, "listening");
    tokio::spawn(admin::serve(listener, Admin { metrics: metrics.clone(), ready: ready.clone(), log }));
    let rest = rest.map(|listener| {
        let api = Api::start(&client, pool, &scopes, &stop);
        tokio::spawn(serve::serve(listener, rest::router(api).merge(ui::router()), stop.clone()))
    });
    let ended = act(args, pool, client, metrics, ready, &stop, ending).await;
    stop.cancel();
    if let Some(rest) = rest {
        let _ended = rest.await;
    }
    tracing::info!("ended");
    ended
}

/// Waits for its turn, and then acts on pools until the end.
async fn act(
    args: Args,
    pool: PoolDefaults,
    client: kube::Client,
    metrics: Metrics,
    ready: Readiness,
    stop: &CancellationToken,
    mut ending: Ending,
) -> Result<()> {
    let proxy_image = args.proxy_image.clone().context("which image do pools run? set --proxy-image")?;
    let (claim, scopes) = (args.claim(), args.scopes());
    ready.stand_by(claim.is_some());
    let mut lease = tokio::select! {
        lease = Lease::acquire(&client, claim, &metrics) => lease,
        () = ending.asked() => return Ok(()),
    };
    ready.stand_by(false);
    let context = Context {
        recorder: Recorder::new(client.clone(), Reporter::from("sessionpool-operator")),
        client,
        stats: StatsClient::new(),
        defaults: Defaults { pool, tracing: args.tracing(), proxy_image, operator_namespace: args.namespace },
        watched: Watched::default(),
        memory: Arc::new(Memory::default()),
        metrics,
    };
    let controllers = TaskTracker::new();
    for namespace in scopes {
        tracing::info!(namespace = namespace.as_deref().unwrap_or("all"), "watching pools");
        controllers.spawn(controller::run(&context, namespace, ready.clone(), stop.clone()));
    }
    controllers.close();
    let ended = tokio::select! {
        () = ending.asked() => Ok(()),
        () = lease.lost() => Err(anyhow::anyhow!("another operator took over")),
        () = controllers.wait() => Err(anyhow::anyhow!("every watch ended")),
    };
    stop.cancel();
    if tokio::time::timeout(GRACE, controllers.wait()).await.is_err() {
        tracing::warn!("a reconcile was cut off; the next operator repeats it");
    }
    lease.release().await;
    ended
}
