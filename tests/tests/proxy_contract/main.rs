//! The documented contract and the rules of the pool, from outside: what clients, the server and the admin port see.

mod call;
mod disabling;
mod drain;
mod ending;
mod endpoints;
mod fairness;
mod keepalive;
mod leavers;
mod loss;
mod pinning;
mod pre_ping;
mod recycling;
mod reset;
mod rows;
mod settings;
mod stage;
mod statistics;
mod sticky;
mod storm;
mod waiters;
mod warming;
