//! Waiting for a session, told of in a span where requests are traced.

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, SystemTime},
};

use futures::poll;
use tokio::time::Instant;

use super::Gateway;
use crate::{
    pool::{Ask, CheckoutError, Lease, Refusal},
    trace::{RequestSpan, WaitSpan},
    upstream::{ConnectError, HttpConnector, SessionKey},
};

impl Gateway {
    /// Leases a slot as the pool does. There is a span only where it takes its time.
    pub(super) async fn checkout(
        &self,
        span: Option<&RequestSpan>,
        key: &SessionKey,
        ask: Ask,
        deadline: Instant,
    ) -> Result<Lease<HttpConnector>, CheckoutError<ConnectError>> {
        let checkout = self.pool.checkout(key, ask, deadline);
        let Some(span) = span else { return checkout.await };
        let since = SystemTime::now();
        let mut checkout = pin!(checkout);
        if let Poll::Ready(at_once) = poll!(checkout.as_mut()) {
            return at_once;
        }
        let wait = span.wait(since);
        let outcome = checkout.await;
        tell(&wait, &outcome);
        outcome
    }
}

fn tell(wait: &WaitSpan, outcome: &Result<Lease<HttpConnector>, CheckoutError<ConnectError>>) {
    match outcome {
        Ok(lease) => {
            let waited = wait.since().elapsed().unwrap_or(Duration::ZERO);
            wait.served(lease.session().handshake_within(waited));
        }
        Err(CheckoutError::Timeout(_)) => wait.refused("timeout"),
        Err(CheckoutError::Refused(refusal)) => wait.refused(match refusal {
            Refusal::Draining => "draining",
            Refusal::NoEndpoint => "no_endpoint",
            _ => "refused",
        }),
        Err(CheckoutError::Connect(error)) => wait.refused(error.kind()),
    }
}
