//! The process from start to end.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use crds::rest::{Recording, Tally};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{net::TcpSocket, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Admin,
    api::{FilePool, Rest, token::TokenFile},
    args::Args,
    config::Config,
    downstream::{
        clients::Clients,
        keyring::Keyring,
        session_key::{self, Secrets},
    },
    gateway::{Gateway, audience::Audiences},
    metrics::Requests,
    peers::{self, PeerAddress, Peers},
    pool::Pool,
    readiness::Readiness,
    reload::Reload,
    server::{self, Ending},
    signals::{Asked, Signals},
    trace::{self, Exporter},
    upstream::HttpConnector,
};

/// How often client sessions are looked through for unused ones.
const EXPIRE_PERIOD: Duration = Duration::from_secs(1);

/// How long clients' connections wait for one more request at the end. Most clients drop idle connections earlier.
const FAREWELL: Duration = Duration::from_secs(5);

/// What closing the pool's sessions may take after the last request.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Connections of peers that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Serves until a signal says to end.
///
/// # Errors
/// If a listener or the session key can't be had.
pub async fn run(args: Args, mut config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals can't be handled")?;
    let keyring = keyring(&args, &config.server_id)?;
    let token = args.api_token_file.clone().map(TokenFile::open).transpose()?;
    let seen = fs::read(&args.config).ok();
    let listener = server::bind(args.listen).await?;
    let admin_listener = server::bind(args.admin_listen).await?;
    let (peers, peer_port) = match peers(&args, &keyring)? {
        Some((peers, port)) => (Some(peers), Some(port)),
        None => (None, None),
    };
    config.is_many &= peers.is_none();
    let exporter = trace::start(args.otlp_endpoint.as_deref(), &config.server_id)?;
    let tracer = exporter.as_ref().map(Exporter::tracer);
    let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);

    let pool = Pool::new(
        HttpConnector::new(config.destination(), tracer.clone()),
        config.limits(),
        config.warm_key(),
    );
    let shutdown = CancellationToken::new();
    let gateway = Arc::new(Gateway {
        config: ArcSwap::from_pointee(config),
        pool,
        clients: Clients::default(),
        audiences: Audiences::default(),
        keyring,
        peers,
        requests: Requests::default(),
        tracer,
        drain: Mutex::default(),
        local: address.ip().is_loopback(),
        max_body: args.max_body_bytes,
        shutdown: shutdown.clone(),
    });
    let readiness = Arc::new(Readiness::default());
    let reload = Arc::new(Reload::new(args.config.clone(), Arc::clone(&gateway)));
    gateway.pool.start();
    let running = (Arc::clone(&gateway), Arc::clone(&readiness), Arc::clone(&reload));
    let rest = token.map(|token| rest(token, args.config.clone(), address, running));
    let parts = (Arc::clone(&gateway), Arc::clone(&readiness), Arc::clone(&reload));
    let admin = Arc::new(Admin::new(parts.0, parts.1, parts.2, rest)?);

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
            async move { admin.handle(request).await }
        },
        admin_stop.clone(),
        Ending { farewell: Duration::ZERO, grace: Duration::from_secs(1) },
    ));
    let grace = args.shutdown();
    let peer_stop = CancellationToken::new();
    tokio::spawn(keep_directory(Arc::clone(&gateway)));
    let opening = open(peer_port, Arc::clone(&gateway), Arc::clone(&readiness), peer_stop.clone(), grace);
    let peer_server = tokio::spawn(opening);
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
        Ending { farewell: FAREWELL.min(grace / 2), grace: grace.saturating_sub(FAREWELL.min(grace / 2)) },
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
        // Messages that peers forward are served until our own clients' are done.
        () = async {
            let _ = tokio::join!(server, part(&gateway));
            peer_stop.cancel();
            let _ = tokio::time::timeout_at(deadline, peer_server).await;
        } => {}
        () = second(&mut signals) => tracing::warn!("ending at once"),
    }
    gateway.pool.close(deadline.max(Instant::now() + CLOSE_GRACE)).await;
    admin_stop.cancel();
    let _ = admin_server.await;
    if let Some(exporter) = exporter {
        exporter.close().await;
    }
    tracing::info!("ended");
    Ok(())
}

/// REST over the manifest at `path`, and over what runs it.
fn rest(
    token: TokenFile,
    path: PathBuf,
    address: SocketAddr,
    (gateway, readiness, reload): (Arc<Gateway>, Arc<Readiness>, Arc<Reload>),
) -> Rest {
    Rest::new(FilePool {
        gateway,
        readiness,
        reload,
        token,
        path,
        address,
        writing: Mutex::default(),
        past: Mutex::new((Tally::default(), Recording::default(), Timestamp::now())),
    })
}

/// The session keys, kept as their files are; without a file one of this process alone.
fn keyring(args: &Args, pool: &str) -> anyhow::Result<Arc<Keyring>> {
    let secrets = match &args.session_key_file {
        Some(path) => session_key::load_or_create(path)?,
        None => Secrets::random()?,
    };
    let keyring = Arc::new(Keyring::new(&secrets, pool).ok().context("the session key can't be used")?);
    if let Some(path) = &args.session_key_file {
        tokio::spawn(Arc::clone(&keyring).follow(path.clone(), secrets));
    }
    Ok(keyring)
}

/// The other proxies and the port for them, if there are to be any.
fn peers(args: &Args, keyring: &Arc<Keyring>) -> anyhow::Result<Option<(Peers, TcpSocket)>> {
    let (Some(names), Some(listen)) = (&args.peers, args.peer_listen) else { return Ok(None) };
    let port = server::reserve(listen)?;
    let bound = port.local_addr()?;
    let own = args.peer_address.map_or(bound, |own: PeerAddress| own.with_port(bound.port()));
    ensure!(!own.ip().is_unspecified(), "give --peer-address: the others can't reach this proxy at {own}");
    tracing::info!(own = %own, "client sessions are shared with peers");
    Ok(Some((Peers::new(names, own, Arc::clone(keyring)), port)))
}

/// Waits until the server can be spoken to, opens the port for peers, and then says that clients may come. Before that
/// peers find the port closed and leave this proxy alone: its server may be one of its own that still starts.
async fn open(
    port: Option<TcpSocket>,
    gateway: Arc<Gateway>,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
    grace: Duration,
) {
    tokio::select! {
        () = readiness.prove(&gateway) => {}
        () = stop.cancelled() => return,
    }
    let listener = match port.map(|port| port.listen(BACKLOG)).transpose() {
        Ok(listener) => listener,
        // The address was free when it was bound: clients are served all the same.
        Err(error) => {
            tracing::error!(%error, "peers can't be served");
            None
        }
    };
    let serving = async {
        if let Some(listener) = listener {
            peers::serve(listener, Arc::clone(&gateway), stop, grace).await;
        }
    };
    let beginning = async {
        if let Some(peers) = &gateway.peers {
            peers.meet().await;
        }
        readiness.begin();
    };
    tokio::join!(serving, beginning);
}

async fn keep_directory(gateway: Arc<Gateway>) {
    if let Some(peers) = &gateway.peers {
        peers.directory().keep().await;
    }
}

async fn part(gateway: &Gateway) {
    if let Some(peers) = &gateway.peers {
        peers.part().await;
    }
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
