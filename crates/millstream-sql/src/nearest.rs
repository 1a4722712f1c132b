//! Hints that name what was probably meant.

/// The known name that `word` most likely means. Names of one or two letters are like too many others.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    (word.chars().count() > 2).then(|| millstream_project::nearest(word, known)).flatten()
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
