//! End-to-end tests: the real gateway process between a raw client and the scripted upstream.

mod administration;
mod chat;
mod config_errors;
mod connections;
mod disconnect;
mod errors;
mod examples;
mod fallback;
mod host_origin;
mod keys;
mod leaks;
mod lifecycle;
mod limits;
mod mending;
mod models;
mod passthrough;
mod proxies;
mod requests;
mod rewrite;
mod routes;
mod shutdown;
mod tls;
mod traces;
mod translate;
mod upstream;
