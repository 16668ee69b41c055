//! One row per configuration key: when a change of it takes effect. The reload, the comments of
//! `config/gateway.toml` and `docs/configuration.md` all go by these rows.

/// A key of one section, whose checked values are an `S`.
pub struct Key<S: 'static> {
    /// As written in its table, such as `listen` or `tls.cert`.
    pub name: &'static str,
    pub reload: Reload<S>,
}

/// When a changed key takes effect.
pub enum Reload<S: 'static> {
    /// When the file is read again (SIGHUP).
    Now,
    /// At the next start: what depends on it is set up once.
    NextStart {
        /// Whether the two configurations differ in this key.
        differs: fn(&S, &S) -> bool,
        /// Copies the running value into a new configuration, so that it never claims what is not
        /// in force.
        keep: fn(&S, &mut S),
    },
}

impl<S> Key<S> {
    /// A key that a reload changes.
    pub const fn now(name: &'static str) -> Self {
        Self {
            name,
            reload: Reload::Now,
        }
    }

    /// A key that waits for the next start.
    pub const fn next_start(
        name: &'static str,
        differs: fn(&S, &S) -> bool,
        keep: fn(&S, &mut S),
    ) -> Self {
        Self {
            name,
            reload: Reload::NextStart { differs, keep },
        }
    }
}

/// A key that waits for the next start and has a field of its own name.
macro_rules! next_start {
    ($field:ident) => {
        $crate::config::key::Key::next_start(
            stringify!($field),
            |running, wanted| running.$field != wanted.$field,
            |running, new| new.$field.clone_from(&running.$field),
        )
    };
}
pub(in crate::config) use next_start;
