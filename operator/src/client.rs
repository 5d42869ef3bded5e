//! The client for the API server, which counts its requests.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::{Method, Request, Response};
use kube::client::{Body, ClientBuilder};
use prometheus::IntCounterVec;
use tower::{Layer, Service};

/// Builds a client from a configuration; `requests` counts what it asks by verb and status code.
pub fn build(config: kube::Config, requests: IntCounterVec) -> kube::Result<kube::Client> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&CountLayer { requests }).build())
}

#[derive(Clone)]
struct CountLayer {
    requests: IntCounterVec,
}

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Count { inner, requests: self.requests.clone() }
    }
}

struct Count<S> {
    inner: S,
    requests: IntCounterVec,
}

impl<S, B> Service<Request<Body>> for Count<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let verb = verb(request.method(), request.uri().query());
        let requests = self.requests.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = match &answer {
                Ok(response) => response.status().as_str().to_owned(),
                Err(_) => "error".to_owned(),
            };
            requests.with_label_values(&[verb, &code]).inc();
            answer
        })
    }
}

/// The verb of a request: a watch is a GET with a query.
fn verb(method: &Method, query: Option<&str>) -> &'static str {
    let watch = || query.is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    match *method {
        Method::GET if watch() => "watch",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_told_from_a_get() {
        assert_eq!(verb(&Method::GET, Some("limit=5&watch=true")), "watch");
        assert_eq!(verb(&Method::GET, Some("fieldSelector=watch%3Dtrue")), "get");
        assert_eq!(verb(&Method::GET, None), "get");
        assert_eq!(verb(&Method::PATCH, None), "patch");
    }
}
