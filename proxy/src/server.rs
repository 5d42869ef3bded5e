//! Listening, accepting, and ending in good order.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use hyper::{
    Request, Response, Version,
    body::{Body, Incoming},
    header::{self, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// How long a connection may be idle, and how long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// A pause after an accept that failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often it is looked at whether a connection is left.
const COUNT_PERIOD: Duration = Duration::from_millis(50);

/// What clients get when a server ends.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// How long connections stay open for the next request, whose answer then says that it was the last. Who closes an idle
    /// connection at once may cross a request that is on its way, and nobody could tell what became of that.
    pub farewell: Duration,
    /// How long requests may run after that.
    pub grace: Duration,
}

/// Binds a listener; the error names the address.
///
/// # Errors
/// If the address can't be bound.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| anyhow::anyhow!("can't listen on {address}: {error}"))
}

/// Binds an address on which nobody listens yet: who connects is refused. The error names the address.
///
/// # Errors
/// If the address can't be bound.
pub fn reserve(address: SocketAddr) -> anyhow::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let bound = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    });
    bound.map_err(|error| anyhow::anyhow!("can't listen on {address}: {error}"))
}

/// Serves connections until `stop`, and then as `ending` says.
pub async fn serve<H, F, B>(listener: TcpListener, handle: H, stop: CancellationToken, ending: Ending)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error = Infallible> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    {
        let farewell = farewell(&stop, &graceful, ending.farewell);
        tokio::pin!(farewell);
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "connection not accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = &mut farewell => break,
            };
            connection(stream, handle.clone(), stop.clone(), &graceful);
        }
    }
    drop(listener);
    if tokio::time::timeout(ending.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = ending.grace.as_secs(), "requests still running at the end were cut off");
    }
}

/// From `stop` until no connection is left, or for `patience`.
async fn farewell(stop: &CancellationToken, connections: &GracefulShutdown, patience: Duration) {
    stop.cancelled().await;
    let over = Instant::now() + patience;
    while connections.count() > 0 && Instant::now() < over {
        tokio::time::sleep(COUNT_PERIOD).await;
    }
}

fn connection<H, F, B>(stream: TcpStream, handle: H, stop: CancellationToken, graceful: &GracefulShutdown)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error = Infallible> + Send + 'static,
{
    // Without it an event waits for the acknowledgement of the one before: 40 ms.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        // A later version says it by itself.
        let says_last = request.version() <= Version::HTTP_11;
        let response = handle(request);
        let stop = stop.clone();
        async move {
            let mut response = response.await;
            if says_last && stop.is_cancelled() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
}
