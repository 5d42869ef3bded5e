//! REST: paths, JSON, problem details, and the rules for what is written. The operator and a proxy without Kubernetes
//! implement [`Pools`]; [`router`] makes the rest of it, and [`openapi`] its description, from the same functions.
//!
//! Nothing here opens a socket: whoever serves the router bounds connections and time.

mod access;
mod api;
mod body;
mod change;
mod config;
mod field;
mod history;
mod id;
mod model;
mod operations;
mod pools;
mod problem;
mod sum;

pub use self::{
    access::{Caller, Permissions, Right},
    api::{MOST_BODY, openapi, router},
    change::Change,
    config::{ConfigPatch, PoolConfig},
    field::Field,
    history::{Growth, History, HistorySample, Recording},
    id::ServerId,
    model::{
        Accepted, Condition, Detail, Operation, Recommended, Replica, ReplicaSession, ResetState, Servers,
        Sessions, Stats, Summary, word_of,
    },
    pools::{IfMatch, Pools, Write},
    problem::{FieldError, Problem},
    sum::{Tally, errors, sum},
};
