//! The chart, as a person uses it: real Helm on a real cluster.

mod example;
mod upgrade;
