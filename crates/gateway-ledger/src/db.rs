//! One way to talk to two databases: cells in, rows out. All SQL of the crate goes through here, so
//! that it is written once; what differs between the two is here and in the few places that ask
//! [`Link::dialect`].

mod connection;
mod lane;
mod migrations;
mod pool;
mod statement;
mod storage;
mod table;
mod target;
mod value;

pub(crate) use connection::{Link, Row};
pub(crate) use lane::Lane;
pub(crate) use pool::{Pool, PooledConnection};
pub(crate) use statement::Statement;
pub(crate) use storage::Storage;
pub(crate) use table::{TableSchema, added, int, key, replaced, text};
pub(crate) use target::DatabaseTarget;
pub(crate) use value::{Cell, SqlDialect, without_nul};
