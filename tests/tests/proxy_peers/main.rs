//! Several proxies of one pool in front of a real server: a client may speak to any of them at any time.

mod churn;
mod fleet;
mod loss;
mod proof;
mod state;
mod streams;
