//! The operator's real binary on a real control plane, under its own role.

mod audit;
mod bench;
mod process;

mod children;
mod conflicts;
mod deletion;
mod fleet;
mod injection;
mod leadership;
mod lifecycle;
mod operations;
mod permission;
mod plugin;
mod refusals;
mod repair;
mod undecodable;
mod verbs;
