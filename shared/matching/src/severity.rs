/// The five severities, mildest first.
const SCALE: [&str; 5] = ["informational", "low", "medium", "high", "critical"];

/// Where a severity stands on the scale, from zero; nothing if it is none of the five, whatever their case.
pub(crate) fn rank(text: &str) -> Option<u8> {
    (0u8..)
        .zip(SCALE)
        .find_map(|(rank, name)| name.eq_ignore_ascii_case(text).then_some(rank))
}

/// The severity that was probably meant.
pub(crate) fn nearest(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    SCALE
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&text, name), name))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, name)| name)
}
