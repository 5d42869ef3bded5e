//! Command line and environment.

use std::{
    net::{AddrParseError, SocketAddr},
    str::FromStr,
};

use clap::{Parser, ValueEnum};

use crate::{lease::Claim, reconcile::resolve::Tracing};

/// Turns `SessionPool` objects into proxies and reports their state.
///
/// The pool settings that a `SessionPool` leaves unset come from `POOL_MIN_SIZE`, `POOL_MAX_SIZE`,
/// `POOL_TIMEOUT`, `POOL_RECYCLE_SECONDS` and `POOL_PRE_PING`. `RUST_LOG` filters the log (default: info).
#[derive(Debug, Clone, Parser)]
#[command(name = "sessionpool-operator", version)]
pub struct Args {
    /// Image of the proxies; `spec.proxy.image` of a pool wins over it.
    #[arg(long, env = "PROXY_IMAGE", value_name = "IMAGE", required_unless_present = "check")]
    pub proxy_image: Option<String>,

    /// Only checks an installation: whether this address of an operator answers with success, and whether SessionPools
    /// can be listed. Repeat it for several addresses.
    #[arg(long, value_name = "URL")]
    pub check: Vec<hyper::Uri>,

    /// Where proxies send their traces: an OTLP endpoint that takes them by HTTP. Without it they send none, unless
    /// `spec.proxy.podTemplate` of a pool sets OTEL_EXPORTER_OTLP_ENDPOINT.
    #[arg(long, env = "TRACING_ENDPOINT", value_name = "URL", value_parser = endpoint)]
    pub tracing_endpoint: Option<String>,

    /// The share of traces that proxies begin and send, 0 to 1. Who calls them decides about the traces that it began.
    #[arg(long, env = "TRACING_SAMPLING_RATIO", value_name = "RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub tracing_sampling_ratio: f64,

    /// Namespace to watch; repeat it for several. Without it every namespace is watched.
    #[arg(
        long = "watch-namespace",
        env = "WATCH_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub watch_namespaces: Vec<String>,

    /// Namespace that the operator runs in.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Name of the Lease, in the operator's namespace, by which one of several operators is chosen. Without it there must
    /// be one operator only.
    #[arg(long, env = "LEASE_NAME", value_name = "NAME", requires = "namespace")]
    pub lease_name: Option<String>,

    /// Name of the pod, by which the holder of the Lease is known; random without it.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,

    /// Address of /livez, /readyz, /metrics and, for callers on loopback, /log-filter.
    #[arg(long, default_value = "0.0.0.0:8081", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,

    /// Address of REST and of the page, or off.
    #[arg(long, default_value = "0.0.0.0:8000", value_name = "ADDRESS|off")]
    pub api_listen: Listen,

    /// Form of the log lines.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Where something is served, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// At an address.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl FromStr for Listen {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

fn endpoint(text: &str) -> Result<String, String> {
    let is_http =
        ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    is_http
        .then(|| text.to_owned())
        .ok_or_else(|| "give an http or https URL, as http://collector:4318".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "give a number from 0 to 1".to_owned())
}

impl Args {
    /// Where proxies send their traces, if they do.
    pub fn tracing(&self) -> Option<Tracing> {
        let endpoint = self.tracing_endpoint.clone()?;
        Some(Tracing { endpoint, sampling_ratio: self.tracing_sampling_ratio })
    }

    /// What this process has to hold before it acts; nothing if it is alone.
    pub fn claim(&self) -> Option<Claim> {
        let random = || format!("operator-{:016x}", fastrand::u64(..));
        Some(Claim {
            namespace: self.namespace.clone()?,
            name: self.lease_name.clone()?,
            identity: self.pod_name.clone().unwrap_or_else(random),
        })
    }

    /// The namespaces to watch: one `None` stands for all of them.
    pub fn scopes(&self) -> Vec<Option<String>> {
        let mut named: Vec<_> =
            self.watch_namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
        named.sort();
        named.dedup();
        if named.is_empty() { vec![None] } else { named.into_iter().map(Some).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_means_all() {
        let args = Args::try_parse_from(["sessionpool-operator", "--proxy-image=proxy:1"]).unwrap();
        assert_eq!(args.scopes(), [None]);
        assert_eq!(args.admin_listen.port(), 8081);
    }

    #[test]
    fn rest_can_be_switched_off() {
        let listen = |arguments: &[&str]| {
            let all = ["sessionpool-operator", "--proxy-image=proxy:1"].iter().chain(arguments);
            Args::try_parse_from(all).map(|args| args.api_listen)
        };
        assert_eq!(listen(&[]).unwrap(), Listen::At(([0, 0, 0, 0], 8000).into()));
        assert_eq!(listen(&["--api-listen=off"]).unwrap(), Listen::Off);
        assert!(listen(&["--api-listen=on"]).is_err());
    }

    #[test]
    fn namespaces_are_taken_once_each() {
        let args = Args::try_parse_from([
            "sessionpool-operator",
            "--proxy-image=proxy:1",
            "--watch-namespace=b,a",
            "--watch-namespace=b",
        ])
        .unwrap();
        assert_eq!(args.scopes(), [Some("a".to_owned()), Some("b".to_owned())]);
    }

    #[test]
    fn traces_go_where_they_can() {
        let tracing = |more: &[&str]| {
            let all = ["sessionpool-operator", "--proxy-image=proxy:1"].iter().chain(more);
            Args::try_parse_from(all).map(|args| args.tracing())
        };
        let to = |sampling_ratio| Tracing { endpoint: "http://collector:4318".to_owned(), sampling_ratio };
        let endpoint = "--tracing-endpoint=http://collector:4318";
        assert_eq!(tracing(&[]).unwrap(), None);
        assert_eq!(tracing(&[endpoint]).unwrap(), Some(to(1.0)));
        assert_eq!(tracing(&[endpoint, "--tracing-sampling-ratio=0.05"]).unwrap(), Some(to(0.05)));
        assert!(tracing(&[endpoint, "--tracing-sampling-ratio=2"]).is_err());
        assert!(tracing(&["--tracing-endpoint=collector:4317"]).is_err());
    }

    #[test]
    fn the_image_is_required() {
        assert!(Args::try_parse_from(["sessionpool-operator"]).is_err());
        let check = ["sessionpool-operator", "--check=http://operator:8081/readyz"];
        assert_eq!(Args::try_parse_from(check).unwrap().check.len(), 1);
    }
}
