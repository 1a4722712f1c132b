//! A regular expression that must match the whole text, for many texts at once.

use arrow::{
    array::{Array, StringArray},
    buffer::BooleanBuffer,
};
use regex::Regex;
use regex_automata::{
    Anchored,
    dfa::{Automaton, StartKind, dense},
    util::{primitives::StateID, start},
};

use crate::bitmap;

/// Expressions whose automaton would be larger are left to the regex engine, which builds it as it goes.
const AUTOMATON_BYTES_MAX: usize = 1 << 20;
/// Texts that are walked at the same time. Each step of one automaton waits for the step before; several hide each
/// other's waiting.
const LANES: usize = 4;

/// The expression, anchored at both ends.
#[derive(Debug)]
pub(super) struct WholeText {
    written: String,
    regex: Regex,
    automaton: Option<(dense::DFA<Vec<u32>>, StateID)>,
}

impl WholeText {
    /// Compiles the expression as written first: `a)(b` is wrong, though with parentheses around it, it would not be.
    pub(super) fn new(written: &str) -> Result<Self, String> {
        let problem = |fault| format!("`{written}` is not a regular expression: {fault}");
        Regex::new(written).map_err(problem)?;
        // A line of its own ends a comment, which verbose expressions may have at their end.
        let forms = [format!(r"\A(?:{written})\z"), format!("\\A(?:{written}\n)\\z")];
        let [plain, commented] = &forms;
        let (form, regex) = match Regex::new(plain) {
            Ok(regex) => (plain, regex),
            Err(_) => (commented, Regex::new(commented).map_err(problem)?),
        };
        Ok(Self { written: written.to_owned(), regex, automaton: automaton(form) })
    }

    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// The rows that do not match, without the null ones.
    pub(super) fn failures(&self, texts: &StringArray) -> Option<BooleanBuffer> {
        match &self.automaton {
            Some((automaton, start)) => {
                let failed = walk_all(automaton, *start, texts);
                bitmap::without_nulls(failed, texts.nulls())
            }
            None => bitmap::of_rows(texts.len(), texts.nulls(), |row| !self.regex.is_match(texts.value(row))),
        }
    }
}

/// The whole automaton, unless it is too large or the expression needs more than one (a Unicode word border does).
fn automaton(form: &str) -> Option<(dense::DFA<Vec<u32>>, StateID)> {
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
        .determinize_size_limit(Some(4 * AUTOMATON_BYTES_MAX));
    let automaton = dense::Builder::new().configure(config).build(form).ok()?;
    let start = automaton.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
    Some((automaton, start))
}

fn walk_all(automaton: &dense::DFA<Vec<u32>>, start: StateID, texts: &StringArray) -> BooleanBuffer {
    let (offsets, bytes) = (texts.value_offsets(), texts.value_data());
    let text = |row: usize| match offsets.get(row..row + 2) {
        Some([from, to]) => bytes.get(*from as usize..*to as usize).unwrap_or_default(),
        _ => &[],
    };
    let mut failed = Vec::with_capacity(texts.len().next_multiple_of(LANES));
    for first in (0..texts.len()).step_by(LANES) {
        let lanes: [&[u8]; LANES] = std::array::from_fn(|lane| text(first + lane));
        failed.extend(walk(automaton, start, &lanes).map(|matches| !matches));
    }
    failed.truncate(texts.len());
    BooleanBuffer::from(failed)
}

/// Whether each text matches. The first bytes, which all have, are read side by side, the others one text after the
/// other.
fn walk(automaton: &dense::DFA<Vec<u32>>, start: StateID, texts: &[&[u8]; LANES]) -> [bool; LANES] {
    let shared = texts.iter().map(|text| text.len()).min().unwrap_or(0);
    let [a, b, c, d] = texts.map(|text| text.get(..shared).unwrap_or_default());
    let [mut at_a, mut at_b, mut at_c, mut at_d] = [start; LANES];
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        at_a = automaton.next_state(at_a, *a);
        at_b = automaton.next_state(at_b, *b);
        at_c = automaton.next_state(at_c, *c);
        at_d = automaton.next_state(at_d, *d);
    }
    let mut matches = [false; LANES];
    for ((matches, mut state), text) in matches.iter_mut().zip([at_a, at_b, at_c, at_d]).zip(texts) {
        for byte in text.get(shared..).unwrap_or_default() {
            state = automaton.next_state(state, *byte);
        }
        *matches = automaton.is_match_state(automaton.next_eoi_state(state));
    }
    matches
}
