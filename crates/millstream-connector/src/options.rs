//! Reads a connector's options key by key and reports every problem, not the first.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::OptionProblem;

/// A mapping of options whose keys are taken one after the other; what is left at the end is unknown.
#[derive(Debug)]
pub struct OptionReader {
    path: Vec<String>,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<OptionProblem>,
}

impl OptionReader {
    /// A value that is not a mapping is itself a problem and reads as an empty mapping.
    #[must_use]
    pub fn new(options: &Value) -> Self {
        Self::at(Vec::new(), options)
    }

    fn at(path: Vec<String>, options: &Value) -> Self {
        let mut reader = Self { path, left: Map::new(), known: Vec::new(), problems: Vec::new() };
        match options {
            Value::Object(map) => reader.left = map.clone(),
            Value::Null => {}
            _ => reader.problem(&[], "options are a mapping of names to values".into(), None),
        }
        reader
    }

    /// Takes the value of `key`; absent, null and faulty values give `None`, a faulty one also a problem that
    /// says `expected`.
    pub fn take<T: DeserializeOwned>(&mut self, key: &'static str, expected: &str) -> Option<T> {
        let value = self.take_value(key)?;
        let parsed = serde_json::from_value(value);
        if parsed.is_err() {
            self.problem(&[key], format!("`{key}` must be {expected}"), None);
        }
        parsed.ok()
    }

    /// Whether a problem with the value of `key` was found so far.
    #[must_use]
    pub fn is_faulty(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.path.last().is_some_and(|last| last == key))
    }

    /// Takes one of `choices`, matched by its word.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", words.join(", "));
        let word: String = self.take(key, &expected)?;
        let found = choices.iter().find(|(choice, _)| *choice == word).map(|(_, value)| *value);
        if found.is_none() {
            let hint = nearest(&word, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            self.problem(&[key], format!("`{word}` is not a `{key}`: it is {expected}"), hint);
        }
        found
    }

    /// Takes a nested mapping, reads it with `read` and keeps its problems; `None` when it is absent.
    pub fn nested<T>(&mut self, key: &'static str, read: impl FnOnce(&mut OptionReader) -> T) -> Option<T> {
        let value = self.take_value(key)?;
        let path = self.path.iter().cloned().chain([key.to_owned()]).collect();
        let mut reader = Self::at(path, &value);
        let result = read(&mut reader);
        self.problems.extend(reader.finish());
        Some(result)
    }

    /// Takes a mapping whose keys are not fixed; the values are single values, given as text.
    pub fn texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(value) = self.take_value(key) else { return Vec::new() };
        let Value::Object(map) = value else {
            self.problem(&[key], format!("`{key}` must be a mapping of names to values"), None);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(map.len());
        for (name, value) in map {
            match value {
                Value::String(text) => texts.push((name, text)),
                Value::Bool(flag) => texts.push((name, flag.to_string())),
                Value::Number(number) => texts.push((name, number.to_string())),
                _ => self.problem(&[key, &name], format!("`{name}` must be a single value"), None),
            }
        }
        texts
    }

    /// Adds a problem at `keys` below this mapping.
    pub fn problem(&mut self, keys: &[&str], message: String, hint: Option<String>) {
        let path = self.path.iter().cloned().chain(keys.iter().map(|key| (*key).to_owned())).collect();
        self.problems.push(OptionProblem { path, message, hint });
    }

    /// All problems; keys that nobody took are among them, with the nearest known word.
    #[must_use]
    pub fn finish(mut self) -> Vec<OptionProblem> {
        let unknown: Vec<String> = self.left.keys().cloned().collect();
        for key in unknown {
            let hint = match nearest(&key, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known options: {}", self.known.join(", ")),
            };
            self.problem(&[&key], format!("unknown option `{key}`"), Some(hint));
        }
        self.problems
    }

    fn take_value(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.left.remove(key).filter(|value| !value.is_null())
    }
}

/// The known word that is most like `word`, when one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
