//! One story for both stores: SQLite always, PostgreSQL when `CODEX_GATEWAY_TEST_POSTGRES` names a
//! server. Every test gets a store of its own.

#[cfg(test)]
mod administration;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod reprice;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod story;
#[cfg(test)]
mod unusable;

/// Runs one async test on every store there is.
#[macro_export]
macro_rules! on_every_store {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        mod sqlite {
            $($(#[$meta])* #[test] fn $name() { $crate::stores::run($crate::stores::Kind::Sqlite, super::$name); })+
        }
        mod postgres {
            $($(#[$meta])* #[test] fn $name() { $crate::stores::run($crate::stores::Kind::Postgres, super::$name); })+
        }
    };
}
