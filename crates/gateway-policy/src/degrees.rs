//! Reasoning efforts and text verbosities: what clients send, and what comes nearest among the
//! degrees that a model takes. An unknown degree is left alone.

/// Reasoning efforts that clients are known to send, the least first.
pub(crate) const EFFORTS: [&str; 8] = [
    "none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra",
];

/// Text verbosities, the least first.
pub(crate) const VERBOSITIES: [&str; 3] = ["low", "medium", "high"];

/// The highest degree in `taken` that is not above `wanted`, else the lowest; `None` when `wanted`
/// itself is taken or is not in `order`. `none` is not a low degree but the absence of one: only a
/// request that asks for it gets it.
pub(crate) fn nearest(wanted: &str, taken: &[String], order: &[&str]) -> Option<String> {
    if taken.iter().any(|word| word.eq_ignore_ascii_case(wanted)) {
        return None;
    }
    let rank = |word: &str| {
        order
            .iter()
            .position(|known| known.eq_ignore_ascii_case(word))
    };
    let limit = rank(wanted)?;
    let ranked = || {
        taken
            .iter()
            .filter(|word| !word.eq_ignore_ascii_case("none"))
            .filter_map(|word| rank(word).map(|rank| (rank, word)))
    };
    let below = ranked()
        .filter(|(rank, _)| *rank < limit)
        .max_by_key(|(rank, _)| *rank);
    below
        .or_else(|| ranked().min_by_key(|(rank, _)| *rank))
        .map(|(_, word)| word.clone())
}
