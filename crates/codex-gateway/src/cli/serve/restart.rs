//! What a reload cannot change: the keys that were read once, when the process started.

use crate::config::Settings;

/// The keys in which a new configuration differs from the running process and that wait for the next start. Takes the old values
/// over, so that nobody believes the new ones are in force.
pub(super) fn keep_started(
    old: &Settings,
    wished: &Settings,
    new: &mut Settings,
) -> Vec<&'static str> {
    let (was, wish) = (&old.storage, &wished.storage);
    let differs = [
        ("server.listen", wished.listen != old.listen),
        ("storage.url", wish.url != was.url),
        ("storage.durability", wish.durability != was.durability),
        ("storage.retention", wish.retention != was.retention),
        ("storage.time_zone", wish.time_zone != was.time_zone),
        ("log.format", wished.log_format != old.log_format),
    ];
    new.storage = old.storage.clone();
    new.log_format = old.log_format;
    differs
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
}
