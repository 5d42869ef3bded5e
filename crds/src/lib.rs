//! The `SessionPool` API.
//!
//! - [`spec`] and [`status`]: the types, from which `crds/sessionpool.yaml` is generated;
//! - [`defaults`] and [`settings`]: which numbers are in force where the object gives none;
//! - [`manifest`]: reading a manifest from a file, with the rules that the API server applies;
//! - [`support`]: what this version refuses, since it does not do it yet;
//! - [`applied`]: what a field manager has applied to an object;
//! - [`names`]: what operator, proxies and chart call things;
//! - [`wire`]: what a proxy tells about itself;
//! - `rest` (a feature): paths, JSON, rules and the OpenAPI document of REST, the same for operator and proxy.
//!
//! Nothing here talks to a network.
#![deny(missing_docs)]

pub mod applied;
pub mod defaults;
pub mod manifest;
pub mod names;
pub mod optimize;
#[cfg(feature = "rest")]
pub mod rest;
pub mod schema;
pub mod settings;
pub mod spec;
pub mod status;
pub mod support;
pub mod wire;

pub use self::{
    defaults::PoolDefaults,
    settings::Settings,
    spec::{
        SessionPool, SessionPoolSpec,
        client_auth::{ClientAuth, Jwt},
        lifecycle::{DesiredState, Drain, Optimization, OptimizationMode},
        pinning::Pinning,
        proxy::{Guard, NetworkPolicyMode, Proxy, ServiceSpec, ServiceType},
        sticky::{Sticky, StickySource},
        strategy::{Isolation, PoolStrategy},
        upstream::{
            Endpoint, ProtocolVersion, ServiceRef, Transport, Upstream, UpstreamAuth, UpstreamAuthType,
            UpstreamSidecar, UpstreamTemplate, UpstreamTls,
        },
    },
    status::{
        EffectiveSettings, OperationStatus, Phase, PoolStatsStatus, Recommendation, RecommendationBasis,
        ResetStatus, SessionPoolStatus,
    },
};
