//! What the engine's errors mean for the person who wrote the SQL.

use std::ops::Range;

use datafusion::{
    common::{Column, DataFusionError, Diagnostic, SchemaError, Span, TableReference},
    sql::sqlparser::parser::ParserError,
};

use crate::{
    SqlError, codes,
    nearest::{name_hint, nearest},
    place::SqlText,
    type_name::friendly,
};

/// One problem of a SQL text.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The place of the problem, in bytes of the SQL text.
    pub(crate) range: Range<usize>,
    pub(crate) label: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, range: Range<usize>) -> Self {
        Self { code, message: message.into(), range, label: None, hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    fn with_optional_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

/// Every problem that the error holds.
pub(crate) fn explain(error: &DataFusionError, text: &SqlText<'_>) -> Vec<Problem> {
    let mut explained = Explain { text, problems: Vec::new() };
    explained.error(error, None);
    explained.problems.sort_by_key(|problem| problem.range.start);
    explained.problems.dedup_by(|a, b| a.range == b.range && a.message == b.message);
    explained.problems
}

struct Explain<'a> {
    text: &'a SqlText<'a>,
    problems: Vec<Problem>,
}

impl Explain<'_> {
    fn error(&mut self, error: &DataFusionError, diagnostic: Option<&Diagnostic>) {
        let problem = match error {
            DataFusionError::Collection(errors) => {
                errors.iter().for_each(|error| self.error(error, None));
                return;
            }
            DataFusionError::Diagnostic(inner, error) => return self.error(error, Some(inner)),
            DataFusionError::Context(_, error) => return self.error(error, diagnostic),
            DataFusionError::Shared(error) => return self.error(error, diagnostic),
            DataFusionError::External(error) if error.is::<SqlError>() => self.own(error.downcast_ref()),
            DataFusionError::SQL(error, _) => self.syntax(error),
            DataFusionError::SchemaError(error, _) => self.schema(error, diagnostic),
            DataFusionError::Plan(message) => self.plan(message, diagnostic),
            DataFusionError::NotImplemented(message) => {
                let message = format!("not supported: {}", first_line(message));
                Problem::new(codes::PLAN, message, self.range(diagnostic, ""))
            }
            other => {
                let message = other.strip_backtrace();
                let message = message.split_once(": ").map_or(message.as_str(), |(_, rest)| rest);
                self.plan(message, diagnostic)
            }
        };
        self.problems.push(problem);
    }

    /// The problem of an error of this crate, which went through the engine.
    fn own(&self, error: Option<&SqlError>) -> Problem {
        let (code, message) = error
            .map_or((codes::PLAN, "the statement cannot be planned".into()), |e| (e.code(), e.to_string()));
        Problem::new(code, message, self.text.whole()).with_optional_hint(error.and_then(SqlError::hint))
    }

    fn syntax(&self, error: &ParserError) -> Problem {
        let message = match error {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
            ParserError::RecursionLimitExceeded => {
                return Problem::new(codes::SYNTAX, "the statement is nested too deeply", self.text.whole())
                    .with_hint("split it with WITH, or into several tables");
            }
        };
        let (message, start) = split_place(message, self.text);
        let at_end = message.ends_with("found: EOF").then_some(self.text.text.len());
        let range = start.or(at_end).map_or_else(|| self.text.whole(), |start| self.text.token_at(start));
        let message = match message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
            Some((expected, "EOF")) => format!("expected {expected}, but the SQL ends here"),
            Some((expected, found)) => format!("expected {expected}, found `{found}`"),
            None => lower_first(message),
        };
        Problem::new(codes::SYNTAX, message, range).with_label("here")
    }

    fn schema(&self, error: &SchemaError, diagnostic: Option<&Diagnostic>) -> Problem {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                self.unknown_column(field, valid_fields, diagnostic)
            }
            // Without a place, the ambiguous name is not one in the text, but one of the result.
            SchemaError::AmbiguousReference { field }
                if diagnostic.is_none() && field.spans().first().is_none() =>
            {
                let message = format!("two columns are named `{}`", field.name);
                Problem::new(codes::DUPLICATE_COLUMN, message, self.range(None, &field.name))
                    .with_hint("rename one with AS, or leave it out")
            }
            SchemaError::AmbiguousReference { field } => {
                let range = self.column_range(field, diagnostic);
                let candidates: Vec<_> =
                    notes(diagnostic, "possible column ").map(|name| format!("`{name}`")).collect();
                let hint = match candidates.as_slice() {
                    [] => "write the table's name or alias before it".to_owned(),
                    some => format!("write {}", some.join(" or ")),
                };
                let message = format!("column `{}` is ambiguous", field.name);
                Problem::new(codes::AMBIGUOUS_COLUMN, message, range)
                    .with_label("more than one table has it")
                    .with_hint(hint)
            }
            SchemaError::DuplicateQualifiedField { name, .. }
            | SchemaError::DuplicateUnqualifiedField { name } => {
                let range = self.range(diagnostic, name);
                Problem::new(codes::DUPLICATE_COLUMN, format!("two columns are named `{name}`"), range)
                    .with_hint("rename one with AS")
            }
        }
    }

    fn unknown_column(&self, field: &Column, valid: &[Column], diagnostic: Option<&Diagnostic>) -> Problem {
        let range = self.column_range(field, diagnostic);
        let Some(relation) = &field.relation else {
            let names = distinct(valid.iter().map(|column| column.name.as_str()));
            let hint = name_hint(&field.name, names, "columns in reach");
            let message = format!("unknown column `{}`", field.name);
            return Problem::new(codes::UNKNOWN_COLUMN, message, range).with_optional_hint(hint);
        };
        let of_relation: Vec<_> = valid
            .iter()
            .filter(|column| column.relation.as_ref().is_some_and(|known| known.resolved_eq(relation)))
            .collect();
        if of_relation.is_empty() && !valid.is_empty() {
            let relations = distinct(
                valid.iter().filter_map(|column| column.relation.as_ref()).map(|known| known.table()),
            );
            let hint = name_hint(relation.table(), relations, "tables in reach");
            let message = format!("no table or alias `{relation}` in reach of `{}`", field.flat_name());
            return Problem::new(codes::UNKNOWN_COLUMN, message, range).with_optional_hint(hint);
        }
        let names = of_relation.iter().map(|column| column.name.as_str());
        let hint = name_hint(&field.name, names, "its columns");
        let message = format!("`{relation}` has no column `{}`", field.name);
        Problem::new(codes::UNKNOWN_COLUMN, message, range).with_optional_hint(hint)
    }

    fn plan(&self, message: &str, diagnostic: Option<&Diagnostic>) -> Problem {
        if let Some(name) = between(message, "Invalid function '", "'") {
            let hint = between(message, "Did you mean '", "'").and_then(|known| nearest(name, [known]));
            let hint = hint.map(|known| format!("did you mean `{known}`?"));
            let range = self.range(diagnostic, name);
            return Problem::new(codes::UNKNOWN_FUNCTION, format!("unknown function `{name}`"), range)
                .with_optional_hint(hint);
        }
        if let Some(name) = between(message, "table '", "' not found") {
            let range = self.range(diagnostic, name);
            return Problem::new(codes::UNKNOWN_TABLE, format!("unknown table `{name}`"), range);
        }
        if let Some(name) = between(message, "table function '", "' not found") {
            let range = self.range(diagnostic, name);
            return Problem::new(codes::UNKNOWN_FUNCTION, format!("unknown table function `{name}`"), range);
        }
        if let Some(name) = between(message, "column \"", "\" must appear in the GROUP BY clause") {
            let (range, name) = (self.range(diagnostic, name), last_part(name));
            return Problem::new(
                codes::PLAN,
                format!("`{name}` must be in GROUP BY, or inside an aggregate"),
                range,
            )
            .with_hint(format!(
                "add `{name}` to GROUP BY, or take one value of the group, as in `max({name})`"
            ));
        }
        if let Some(name) = between(message, "non-boolean predicate '", "' returning ") {
            let found = message.rsplit_once(" returning ").map_or("", |(_, found)| first_line(found));
            let message =
                format!("a condition gives true or false, `{}` is {}", last_part(name), friendly(found));
            return Problem::new(codes::TYPE_MISMATCH, message, self.range(diagnostic, name));
        }
        if let Some(name) =
            between(message, "unique expression names but the expression \"", "\" at position")
        {
            let name = name.rsplit_once(" AS ").map_or(name, |(_, alias)| alias);
            let message = format!("two columns are named `{}`", last_part(name));
            return Problem::new(codes::DUPLICATE_COLUMN, message, self.range(diagnostic, name))
                .with_hint("rename one with AS, or leave it out");
        }
        if let Some(call) = between(message, "argument types '", "'") {
            return self.call_mismatch(call, message, diagnostic);
        }
        if let Some(rest) = message.strip_prefix("Cannot infer common argument type for ") {
            return self.operator_mismatch(rest, diagnostic);
        }
        let code = match message {
            _ if message.contains("unique expression names") || message.contains("duplicate") => {
                codes::DUPLICATE_COLUMN
            }
            _ if message.contains("coerc")
                || message.contains("Cannot get result type")
                || message.contains("type") =>
            {
                codes::TYPE_MISMATCH
            }
            _ => codes::PLAN,
        };
        let hint =
            diagnostic.and_then(|diagnostic| diagnostic.helps.first()).map(|help| help.message.clone());
        let text = friendly(&lower_first(first_line(message)));
        let named = between(message, "'", "'").unwrap_or_default();
        Problem::new(code, text, self.range(diagnostic, named)).with_optional_hint(hint)
    }

    fn call_mismatch(&self, call: &str, message: &str, diagnostic: Option<&Diagnostic>) -> Problem {
        let name = call.split('(').next().unwrap_or(call);
        let forms: Vec<_> = message
            .split_once("Candidate functions:")
            .map(|(_, forms)| forms.lines().map(str::trim).filter(|form| !form.is_empty()).collect())
            .unwrap_or_default();
        let hint = match forms.as_slice() {
            [] => "cast the arguments".to_owned(),
            some => format!(
                "it takes {}; cast the arguments",
                friendly(&some.iter().map(|form| format!("`{form}`")).collect::<Vec<_>>().join(" or "))
            ),
        };
        let message = format!("`{name}` does not take arguments of these types: `{}`", friendly(call));
        Problem::new(codes::TYPE_MISMATCH, message, self.range(diagnostic, name)).with_hint(hint)
    }

    /// The problem of an operator between types that it does not take, as in `comparison operation Utf8 = Int64`.
    fn operator_mismatch(&self, rest: &str, diagnostic: Option<&Diagnostic>) -> Problem {
        let (kind, operands) = rest.split_once(" operation ").unwrap_or(("", rest));
        let operands = friendly(operands);
        let sides = [
            " IS NOT DISTINCT FROM ",
            " IS DISTINCT FROM ",
            " >= ",
            " <= ",
            " != ",
            " = ",
            " < ",
            " > ",
            " AND ",
            " OR ",
        ]
        .iter()
        .find_map(|operator| operands.split_once(operator));
        let message = match (kind, sides) {
            ("comparison", Some((left, right))) => format!("cannot compare {left} with {right}"),
            ("logical boolean", Some((left, right))) => {
                format!("AND and OR need conditions, found {left} and {right}")
            }
            _ => format!("the operator does not take these types: {operands}"),
        };
        Problem::new(codes::TYPE_MISMATCH, message, self.range(diagnostic, ""))
            .with_hint("cast one side to the other's type")
    }

    fn column_range(&self, field: &Column, diagnostic: Option<&Diagnostic>) -> Range<usize> {
        match field.spans().first() {
            Some(span) => self.text.plan_range(span),
            None => self.range(diagnostic, &field.name),
        }
    }

    /// The place of a problem: that of the diagnostic, else the first place of `word` in the text, else the text's first
    /// word.
    fn range(&self, diagnostic: Option<&Diagnostic>, word: &str) -> Range<usize> {
        if let Some(span) = diagnostic.and_then(|diagnostic| diagnostic.span).filter(is_real) {
            return self.text.plan_range(span);
        }
        let found = find_word(self.text.text, word).or_else(|| find_word(self.text.text, last_part(word)));
        found.unwrap_or_else(|| self.text.whole())
    }
}

/// The last part of a name: `amount` of `bronze.orders.amount`.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A column as people write it: with the alias of its table, without a table's full name.
pub(crate) fn column_name(column: &Column) -> String {
    match &column.relation {
        Some(TableReference::Bare { table }) => format!("{table}.{}", column.name),
        _ => column.name.clone(),
    }
}

fn is_real(span: &Span) -> bool {
    span.start.line > 0
}

/// Splits the parser's ` at Line: 3, Column: 8` off.
fn split_place<'m>(message: &'m str, text: &SqlText<'_>) -> (&'m str, Option<usize>) {
    let Some((head, place)) = message.rsplit_once(" at Line: ") else { return (message.trim(), None) };
    let numbers = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.trim().parse().ok()?, column.trim().parse().ok()?)));
    (head.trim(), numbers.map(|(line, column)| text.offset(line, column)))
}

/// The first place where `word` stands alone, letter case aside.
pub(crate) fn find_word(text: &str, word: &str) -> Option<Range<usize>> {
    if word.is_empty() || !word.is_ascii() {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let word = word.to_ascii_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    lower.match_indices(&word).map(|(start, found)| start..start + found.len()).find(|range| {
        let before = lower.get(..range.start).and_then(|text| text.chars().next_back());
        let after = lower.get(range.end..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn notes<'d>(diagnostic: Option<&'d Diagnostic>, prefix: &'static str) -> impl Iterator<Item = &'d str> {
    diagnostic
        .into_iter()
        .flat_map(|diagnostic| &diagnostic.notes)
        .filter_map(move |note| note.message.strip_prefix(prefix))
}

fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut seen = std::collections::HashSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

fn between<'m>(message: &'m str, open: &str, close: &str) -> Option<&'m str> {
    let (_, rest) = message.split_once(open)?;
    rest.split_once(close).map(|(inner, _)| inner)
}

pub(crate) fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default().trim_end_matches('.')
}

fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), message.chars().nth(1)) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => message.to_owned(),
    }
}
