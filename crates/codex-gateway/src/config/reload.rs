//! What a reload cannot change: the keys that were read once, when the process started.

use crate::config::Settings;

/// The keys in which a new configuration differs from the running process and that wait for the
/// next start. Takes the old values over, so that nobody believes the new ones are in force.
pub(super) fn keep_started(
    old: &Settings,
    wished: &Settings,
    new: &mut Settings,
) -> Vec<&'static str> {
    let (was, wish) = (&old.storage, &wished.storage);
    let differs = [
        ("server.listen", wished.listen != old.listen),
        ("server.tls", wished.tls.is_some() != old.tls.is_some()),
        ("admin.listen", wished.admin.listen != old.admin.listen),
        ("storage.url", wish.url != was.url),
        ("storage.durability", wish.durability != was.durability),
        ("storage.retention", wish.retention != was.retention),
        ("storage.time_zone", wish.time_zone != was.time_zone),
        ("log.format", wished.log_format != old.log_format),
    ];
    new.storage = old.storage.clone();
    new.log_format = old.log_format;
    new.admin.listen = old.admin.listen;
    if new.tls.is_some() != old.tls.is_some() {
        new.tls.clone_from(&old.tls);
    }
    differs
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
}
