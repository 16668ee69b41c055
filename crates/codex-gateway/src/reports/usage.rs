//! Words of a usage query, the same on the command line and in `/api`.

use gateway_ledger::GroupBy;

/// What usage is grouped by unless the query says otherwise.
pub const DEFAULT_BY: GroupBy = GroupBy::Model;

/// Reads `model,day`; an empty list asks for the total only.
///
/// # Errors
/// A sentence that lists the valid words.
pub fn group_by(list: &str) -> Result<Vec<GroupBy>, String> {
    let mut by = Vec::new();
    let words = list
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    for word in words {
        let Some(found) = GroupBy::parse(word) else {
            let known: Vec<&str> = GroupBy::ALL.iter().map(|by| by.as_str()).collect();
            return Err(format!(
                "`{word}` is not a valid group; use {}",
                known.join(", ")
            ));
        };
        // Asked twice is asked once: a JSON object has every key once.
        if !by.contains(&found) {
            by.push(found);
        }
    }
    Ok(by)
}
