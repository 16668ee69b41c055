//! What a reload changes and what waits for the next start, by the rows of each section.

use super::key::Reload;
use super::sections::{admin, catalog, log, models, prices, server, storage};
use super::settings::Settings;

/// Applies a macro to every section that has rows. `[upstreams.*]` and the tables of the policy
/// have none: a reload replaces all of them.
macro_rules! each_section {
    ($visit:ident) => {
        $visit!(server);
        $visit!(admin);
        $visit!(storage);
        $visit!(catalog);
        $visit!(log);
        $visit!(models);
        $visit!(prices);
    };
}

/// Keeps what cannot change while the process runs: copies the running values into `new`, so that
/// it never claims what is not in force. `wanted` is the configuration as the next start will read
/// it.
///
/// Returns the keys that differ and therefore wait, such as `storage.url`.
pub fn keep_next_start(running: &Settings, wanted: &Settings, new: &mut Settings) -> Vec<String> {
    let mut waiting = Vec::new();
    macro_rules! keep_section {
        ($table:ident) => {
            for key in $table::KEYS {
                if let Reload::NextStart { differs, keep } = key.reload {
                    if differs(&running.$table, &wanted.$table) {
                        waiting.push(format!("{}.{}", stringify!($table), key.name));
                    }
                    keep(&running.$table, &mut new.$table);
                }
            }
        };
    }
    each_section!(keep_section);
    waiting
}

/// Every key that has a row, such as `storage.url`, and whether it waits for the next start.
pub fn keys() -> Vec<(String, bool)> {
    let mut keys = Vec::new();
    macro_rules! list_section {
        ($table:ident) => {
            keys.extend($table::KEYS.iter().map(|key| {
                let waits = matches!(key.reload, Reload::NextStart { .. });
                (format!("{}.{}", stringify!($table), key.name), waits)
            }));
        };
    }
    each_section!(list_section);
    keys
}
