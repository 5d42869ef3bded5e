//! `--check`: whether an installation works, as `helm test` asks.

use std::time::Duration;

use crds::SessionPool;
use http_body_util::Empty;
use hyper::{Request, StatusCode, Uri, body::Bytes};
use hyper_util::{client::legacy, rt::TokioExecutor};
use kube::{Api, Client, api::ListParams};
use tokio::time::{Instant, sleep, timeout};

use crate::reconcile::observe::describe;

/// How long an operator that is being started is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time for one answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Asks each address for success, and the API server for the pools of each namespace (none: of all). Says on standard
/// output what works.
pub async fn check(
    addresses: &[Uri],
    namespaces: &[Option<String>],
    client: &Client,
) -> Result<(), CheckError> {
    for address in addresses {
        until_it_answers(address).await?;
        println!("ok: {address} answers");
    }
    for namespace in namespaces {
        let (api, place): (Api<SessionPool>, _) = match namespace {
            Some(name) => (Api::namespaced(client.clone(), name), format!("namespace {name}")),
            None => (Api::all(client.clone()), "all namespaces".to_owned()),
        };
        let listed = api.list_metadata(&ListParams::default().limit(1)).await;
        listed.map_err(|source| CheckError::Pools { place: place.clone(), source: Box::new(source) })?;
        println!("ok: SessionPools of {place} can be listed");
    }
    Ok(())
}

async fn until_it_answers(address: &Uri) -> Result<(), CheckError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = match timeout(ANSWER, status(address)).await {
            Ok(Ok(StatusCode::OK)) => return Ok(()),
            Ok(Ok(status)) => format!("answered {status}"),
            Ok(Err(error)) => error,
            Err(_) => format!("did not answer within {} s", ANSWER.as_secs()),
        };
        if Instant::now() + PAUSE > deadline {
            return Err(CheckError::Address { address: address.clone(), said });
        }
        sleep(PAUSE).await;
    }
}

async fn status(address: &Uri) -> Result<StatusCode, String> {
    let request =
        Request::get(address.clone()).body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    Ok(client.request(request).await.map_err(|error| describe(&error))?.status())
}

/// What does not work.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// An address of the operator.
    #[error("{address} {said}: see the operator's log")]
    Address {
        /// What was asked.
        address: Uri,
        /// What came of it.
        said: String,
    },
    /// The definition, or the right to read it.
    #[error(
        "SessionPools of {place} can't be listed: is the definition installed, and may the operator read it?"
    )]
    Pools {
        /// Where they were looked for.
        place: String,
        /// Why not.
        source: Box<kube::Error>,
    },
}
