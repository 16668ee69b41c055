//! What translation could not carry, counted by kind.

use gateway_wire::translate::{Loss, LossKind};

/// How often each kind of loss happened, in the order of the documentation.
pub fn count_losses<'a>(
    losses: impl Iterator<Item = &'a Loss> + Clone,
) -> impl Iterator<Item = (LossKind, u64)> {
    LossKind::ALL.iter().filter_map(move |kind| {
        let count = losses.clone().filter(|loss| loss.kind == *kind).count();
        (count > 0).then_some((*kind, count as u64))
    })
}

/// The losses as a header and a log field say them: `kind=count,…`; `None` when there are none.
pub fn describe_losses<'a>(losses: impl Iterator<Item = &'a Loss> + Clone) -> Option<String> {
    let words: Vec<String> = count_losses(losses)
        .map(|(kind, count)| format!("{}={count}", kind.as_str()))
        .collect();
    (!words.is_empty()).then(|| words.join(","))
}
