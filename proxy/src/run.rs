//! The process from start to end.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Context;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Admin,
    args::Args,
    config::Config,
    downstream::{clients::Clients, session_key, token::Sealer},
    gateway::{Gateway, audience::Audiences},
    metrics::Requests,
    pool::Pool,
    readiness::Readiness,
    reload::Reload,
    server,
    signals::{Asked, Signals},
    upstream::HttpConnector,
};

/// How often client sessions are looked through for unused ones.
const EXPIRE_PERIOD: Duration = Duration::from_secs(1);

/// What closing the pool's sessions may take after the last request.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Serves until a signal says to end.
///
/// # Errors
/// If a listener or the session key can't be had.
pub async fn run(args: Args, config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals can't be handled")?;
    let secret = match &args.session_key_file {
        Some(path) => session_key::load_or_create(path)?,
        None => session_key::random()?,
    };
    let sealer = Sealer::new(&secret, &config.server_id).ok().context("the session key can't be used")?;
    let seen = fs::read(&args.config).ok();
    let listener = server::bind(args.listen).await?;
    let admin_listener = server::bind(args.admin_listen).await?;
    let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);

    let pool = Pool::new(HttpConnector::new(config.destination()), config.limits(), config.warm_key());
    let shutdown = CancellationToken::new();
    let gateway = Arc::new(Gateway {
        config: ArcSwap::from_pointee(config),
        pool,
        clients: Clients::default(),
        audiences: Audiences::default(),
        sealer,
        requests: Requests::default(),
        drain: Mutex::default(),
        local: address.ip().is_loopback(),
        max_body: args.max_body_bytes,
        shutdown: shutdown.clone(),
    });
    let readiness = Arc::new(Readiness::default());
    let reload = Arc::new(Reload::new(args.config.clone(), Arc::clone(&gateway)));
    gateway.pool.start();
    let admin = Arc::new(Admin::new(Arc::clone(&gateway), Arc::clone(&readiness), Arc::clone(&reload))?);

    tokio::spawn(Arc::clone(&readiness).prove(Arc::clone(&gateway)));
    tokio::spawn({
        let reload = Arc::clone(&reload);
        async move { reload.run(seen).await }
    });
    tokio::spawn(expire(Arc::clone(&gateway)));
    let admin_stop = CancellationToken::new();
    let admin_server = tokio::spawn(server::serve(
        admin_listener,
        move |request| {
            let admin = Arc::clone(&admin);
            async move { admin.handle(&request) }
        },
        admin_stop.clone(),
        Duration::from_secs(1),
    ));
    let grace = args.shutdown();
    let server = tokio::spawn(server::serve(
        listener,
        {
            let gateway = Arc::clone(&gateway);
            move |request| {
                let gateway = Arc::clone(&gateway);
                async move { gateway.handle(request).await }
            }
        },
        shutdown.clone(),
        grace,
    ));
    tracing::info!(mcp = %address, admin = %admin_address, path = crate::gateway::PATH, "listening");

    while signals.next().await == Asked::Reload {
        reload.now.notify_one();
    }
    tracing::info!("ending: running requests may finish");
    let deadline = Instant::now() + grace;
    readiness.end();
    shutdown.cancel();
    tokio::select! {
        _ = server => {}
        () = second(&mut signals) => tracing::warn!("ending at once"),
    }
    gateway.pool.close(deadline.max(Instant::now() + CLOSE_GRACE)).await;
    admin_stop.cancel();
    let _ = admin_server.await;
    tracing::info!("ended");
    Ok(())
}

/// Waits for another signal to end.
async fn second(signals: &mut Signals) {
    while signals.next().await == Asked::Reload {}
}

async fn expire(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(EXPIRE_PERIOD).await;
        gateway.expire_clients();
    }
}
