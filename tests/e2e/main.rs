//! End-to-end tests: the real gateway process between a raw client and the scripted upstream.

mod admission;
mod chat;
mod config_errors;
mod connections;
mod disconnect;
mod endings;
mod errors;
mod examples;
mod fallback;
mod host_origin;
mod keys;
mod lifecycle;
mod limits;
mod manners;
mod mending;
mod models;
mod passthrough;
mod requests;
mod rewrite;
mod routes;
mod shutdown;
mod traces;
mod translate;
mod upstream;
