//! HTTP: what is served where, who asks, and the errors this gateway makes itself.

pub mod admin;
pub mod caller;
pub mod catalogue_entries;
pub mod dashboard;
pub mod decode;
pub mod error;
pub mod guard;
pub mod models;
pub mod ops;
pub mod router;
pub mod unreadable;
pub mod visitor;
