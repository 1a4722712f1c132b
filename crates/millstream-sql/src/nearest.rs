//! The known name that was probably meant.

/// The candidate most like `word`, when one is near enough; ties go to the first in order of the names.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len().max(word.len()) / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?` for the nearest name, otherwise the list of the names when it is short.
pub(crate) fn name_hint<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> Option<String> {
    const LISTED_MAX: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None => {
            let more = known.len().saturating_sub(LISTED_MAX);
            let listed =
                known.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
            Some(format!("{what}: {listed}{tail}"))
        }
    }
}
