//! Turns `SessionPool` objects into proxies and reports their state.
//!
//! [`controller`] turns watches into reconciles. [`mod@reconcile`] is the pipeline: resolve (a specification becomes one
//! pool that is understood), plan (it becomes [`children`]), apply (they are written), observe (pods and proxies are
//! asked), report (the status and [`events`] follow from what was seen). Resolve, plan and report are pure; only
//! references, apply, observe, nudge and report's last line hold a client.
//!
//! [`mod@api`] is REST, which every operator serves, and which reads and writes the objects that the pipeline follows.
//!
//! [`memory`] is what is kept between two reconciles: [`totals`] of statistics, nudges, failures. Losing it does no harm.

pub mod admin;
pub mod advice;
pub mod api;
pub mod args;
pub mod backoff;
pub mod children;
pub mod client;
pub mod conditions;
pub mod controller;
pub mod events;
pub mod fingerprint;
pub mod installation;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod reconcile;
pub mod seen;
pub mod strain;
pub mod telemetry;
pub mod totals;
pub mod ui;
pub mod watched;
