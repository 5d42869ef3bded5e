//! The documentation: its links lead somewhere, its manifests are taken, its commands run, its reference is what the code
//! says, and nothing that a user can meet is missing.

mod commands;
mod completeness;
mod examples;
mod form;
mod kubectl;
mod links;
mod manifests;
mod node;
mod reference;
