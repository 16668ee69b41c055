//! HTTP: what is served where, who asks, and the errors this gateway makes itself.

pub mod admin;
pub mod conditional;
pub mod connection_check;
mod cross_origin;
pub mod dashboard;
pub mod listener;
mod me;
pub mod models;
pub mod ops;
mod pages;
pub mod router;
pub mod state;
