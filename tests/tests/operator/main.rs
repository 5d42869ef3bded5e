//! The operator's real binary on a real control plane, under its own role.

mod audit;
mod bench;
mod process;

mod children;
mod conflicts;
mod deletion;
mod exposition;
mod fleet;
mod injection;
mod leadership;
mod lifecycle;
mod operations;
mod page;
mod permission;
mod plugin;
mod refusals;
mod repair;
mod rest;
mod undecodable;
mod verbs;
