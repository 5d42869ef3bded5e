//! `kubectl sessionpool`: what people do with pools from a shell.
//!
//! - [`args`]: the command line; [`complete`]: what a shell may put there;
//! - [`connect`]: the way to the cluster, as kubectl finds it; [`failure`]: what becomes of errors, and exit codes;
//! - [`pools`], [`fleet`], [`numbers`]: reading: the objects, their proxies, what these count;
//! - [`write`]: changing an object without taking fields of others away;
//! - [`wait`] with [`progress`]: following what was begun;
//! - [`commands`], [`check`], [`page`]: what is done and shown; [`output`]: how.
#![deny(missing_docs)]

pub mod args;
pub mod check;
pub mod commands;
pub mod complete;
pub mod connect;
pub mod failure;
pub mod fleet;
pub mod numbers;
pub mod output;
pub mod page;
pub mod pools;
pub mod progress;
pub mod reach;
pub mod wait;
pub mod write;
