//! Credentials in texts that people and machines are shown: found by their form or because they are known, and covered.
//!
//! A message never repeats a secret on purpose, but the line of a file that it quotes, or the words of a library that
//! it passes on, may hold one: the password of a URL, the signature in its query, the key of an object store.

use std::{borrow::Cow, fmt, ops::Range, sync::LazyLock};

use millstream_types::{COVER, know_secret, secrets_in};
use regex::Regex;

use crate::Diagnostic;

/// Forms of credentials; the first group of each is what is covered.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // Who asks, in a URL. The second branch is a password whose own `/`, `?` or `#` is not escaped; digits alone
        // after the `:` are a port, and an `@` further on belongs to the path.
        r#"(?i)\b[a-z][a-z0-9+.-]*://([^\s/?#"'`]+|[^\s/?#"'`:]*:[0-9]*[^\s"'`0-9/?#][^\s"'`]*)@"#,
        r#"(?i)[?&](?:sig|signature|token|access_token|password|x-amz-signature|x-amz-security-token)=([^\s&"'`]+)"#,
        // A store's key as an entry of a mapping. What starts another kind of value is no text.
        r#"(?i)(?:\b|_)(?:secret|secret_key|secret_access_key|access_key|account_key|master_key|sas_key|sas_token|session_token|bearer_token|client_secret|service_account_key|password)["']?:\s*["']?([^\s"'`,{}\[\]:$|>&*]+)"#,
    ]
    .into_iter()
    .map(compiled)
    .collect()
});

#[expect(
    clippy::expect_used,
    reason = "the patterns are literals, and every test of this room compiles them"
)]
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of the forms of credentials compiles")
}

/// A text whose credentials are covered, with the way from its old offsets to the new ones.
#[derive(Debug)]
pub struct Covered<'t> {
    pub text: Cow<'t, str>,
    /// The ranges of the original text that were covered.
    covered: Vec<Range<usize>>,
}

/// Covers the credentials of a text: those that look like one, and the secrets that this process has read.
#[must_use]
pub fn cover(text: &str) -> Covered<'_> {
    let mut covered = credentials(text);
    covered.extend(secrets_in(text));
    covered_at(text, apart(covered))
}

fn covered_at(text: &str, covered: Vec<Range<usize>>) -> Covered<'_> {
    if covered.is_empty() {
        return Covered { text: Cow::Borrowed(text), covered };
    }
    let mut open = String::with_capacity(text.len());
    let mut done = 0;
    for range in &covered {
        open.push_str(text.get(done..range.start).unwrap_or_default());
        open.push_str(COVER);
        done = range.end;
    }
    open.push_str(text.get(done..).unwrap_or_default());
    Covered { text: Cow::Owned(open), covered }
}

impl Covered<'_> {
    /// The place in the covered text of a byte of the original one; a byte inside of a credential is found at its
    /// start.
    #[must_use]
    pub fn offset(&self, byte: usize) -> usize {
        let mut offset = byte;
        for range in self.covered.iter().rev().filter(|range| range.start < byte) {
            // The bytes of the range that lie before `byte`: the whole credential, or the part of it that the cover
            // replaces.
            let behind = range.end.min(byte) - range.start;
            let shown = if range.end <= byte { COVER.len() } else { 0 };
            offset = offset - behind + shown;
        }
        offset
    }
}

/// The ranges of a text that have the form of a credential.
fn credentials(text: &str) -> Vec<Range<usize>> {
    FORMS
        .iter()
        .flat_map(|form| form.captures_iter(text).filter_map(|captures| captures.get(1)))
        .filter(|credential| is_secret(text, credential.start(), credential.as_str()))
        .map(|credential| credential.range())
        .collect()
}

/// The ranges in order, those that overlap as one.
fn apart(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// The passwords and keys of a text, found by its form, without the user before them, who is no secret.
pub(crate) fn passwords(text: &str) -> Vec<String> {
    let password = |at| text.get(at).map(|it: &str| it.split_once(':').map_or(it, |(_, password)| password));
    credentials(text).into_iter().filter_map(password).map(str::to_owned).collect()
}

/// Whether what stands at the place of a credential is one: the name of a variable is none, nor is the container that
/// Azure's addresses put before the `@`.
fn is_secret(text: &str, start: usize, credential: &str) -> bool {
    let password = credential.split_once(':').map_or(credential, |(_, password)| password);
    let is_variable = password.starts_with("${") && password.find('}') == Some(password.len() - 1);
    let is_default = is_variable && password.contains(":-");
    let is_container = !credential.contains(':')
        && ["abfs://", "abfss://", "wasb://", "wasbs://"]
            .iter()
            .any(|scheme| text.get(..start).is_some_and(|before| before.ends_with(scheme)));
    (!is_variable || is_default) && !is_container
}

/// Values that came from the environment: they may be secrets, and no message repeats them.
#[derive(Clone, Default)]
pub struct HiddenValues(Vec<String>);

impl fmt::Debug for HiddenValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HiddenValues").field("count", &self.0.len()).finish()
    }
}

impl HiddenValues {
    pub(crate) fn add(&mut self, value: String) {
        // Shorter values are no secrets, and hiding them would garble the messages.
        const BYTES_MIN: usize = 4;
        if value.len() >= BYTES_MIN && !self.0.contains(&value) {
            self.0.push(value);
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|value| self.add(value));
    }

    /// Adds a credential, which every message of the process covers from now on.
    pub(crate) fn add_secret(&mut self, value: &str) {
        know_secret(value);
        self.add(value.to_owned());
    }

    /// A text without these values and without what has the form of a credential, for a definition that is stored.
    #[must_use]
    pub fn left_out_of(&self, text: &str) -> String {
        let mut found = credentials(text);
        for value in &self.0 {
            found.extend(text.match_indices(value.as_str()).map(|(at, value)| at..at + value.len()));
        }
        covered_at(text, apart(found)).text.into_owned()
    }

    /// Puts `${…}` where a text of the diagnostic repeats a value.
    pub fn hide(&self, diagnostic: &mut Diagnostic) {
        let Diagnostic { message, hint, label, .. } = diagnostic;
        for text in [Some(message), hint.as_mut(), label.as_mut()].into_iter().flatten() {
            let mut found: Vec<_> = self.0.iter().filter(|value| text.contains(value.as_str())).collect();
            // Of a value that begins with another one, the rest would stay.
            found.sort_by_key(|value| std::cmp::Reverse(value.len()));
            for value in found {
                *text = text.replace(value.as_str(), "${…}");
            }
        }
    }
}
