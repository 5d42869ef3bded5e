//! Serves REST: connections, and how long everything may take.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use crds::rest::Problem;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Connections at once; others wait.
const MOST_CONNECTIONS: usize = 512;
/// Longest time for the head of a request, and for a connection without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for a request and its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Time that running requests get at the end.
const GRACE: Duration = Duration::from_secs(3);
/// A pause after an accept that failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds the address.
///
/// # Errors
/// If it can't be used.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        anyhow::anyhow!("can't listen on {address}: {error}: choose another --api-listen, or off")
    })
}

/// Serves until `stop`, and then until what runs has been answered.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let (graceful, room) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MOST_CONNECTIONS)));
    while let Some((stream, place)) = next(&listener, &room, &stop).await {
        connection(stream, place, router.clone(), &graceful);
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests to REST were cut off at the end");
    }
}

/// The next connection once there is room for it; none at the end.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    loop {
        let accepting = async {
            let place = Arc::clone(room).acquire_owned().await.ok()?;
            Some(listener.accept().await.map(|(stream, _)| (stream, place)))
        };
        let accepted = tokio::select! {
            accepted = accepting => accepted?,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok(connection) => return Some(connection),
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn connection(stream: TcpStream, place: OwnedSemaphorePermit, router: Router, graceful: &GracefulShutdown) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| answer(router.clone(), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to REST broke");
        }
        drop(place);
    });
}

async fn answer(mut router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    match tokio::time::timeout(REQUEST_TIMEOUT, router.call(request.map(Body::new))).await {
        Ok(answer) => answer,
        Err(_) => {
            let detail = format!("that took longer than {} s: try again", REQUEST_TIMEOUT.as_secs());
            Ok(Problem::unavailable(detail).into_response())
        }
    }
}
