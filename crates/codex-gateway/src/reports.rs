//! Answers that the command line and `/api` share: what would happen, what is known about models,
//! what was used. Sends nothing, prints nothing; the command line lays the answers out, `/api`
//! serialises them.

pub mod explain;
pub mod facts;
pub mod models;
pub mod price_tag;
pub mod usage;
pub mod usage_csv;
pub mod when;
