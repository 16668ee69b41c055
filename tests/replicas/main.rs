//! Two real gateways on one real PostgreSQL: what a team is promised has to hold across them, while
//! one dies, while the database is away, and while somebody administers from a third process.

mod budgets;
mod death;
mod example;
mod outage;
mod revocation;
mod sessions;
mod shared;
mod team;
