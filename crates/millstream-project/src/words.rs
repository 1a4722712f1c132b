//! The nearest known word, for hints.

/// The known word that `word` most likely means, when one is near enough.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing is quadratic in the length, and no project word is longer than this.
    const CHARS_MAX: usize = 100;
    if word.len() > CHARS_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    let distance_max = (word.chars().count() / 3).clamp(1, 4);
    let candidates = known.into_iter().filter(|candidate| candidate.len() <= CHARS_MAX);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or else the known words when they are few.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if known.is_empty() || known.len() > 24 => None,
        None => Some(format!("known here: {}", known.join(", "))),
    }
}
