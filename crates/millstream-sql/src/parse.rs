//! Text to one statement, and the tables that the statement names.

use std::ops::{ControlFlow, Range};

use datafusion::{
    common::DataFusionError,
    sql::{
        parser::{DFParserBuilder, Statement as PlanStatement},
        sqlparser::{
            ast::{Expr, Ident, ObjectName, Query, Select, SetExpr, Spanned, Statement, TableFactor, Visit},
            keywords::Keyword,
            tokenizer::{Span, Token, TokenWithSpan, Tokenizer},
        },
    },
};

use crate::{
    codes,
    dialect::MillstreamDialect,
    explain::{Problem, explain},
    place::SqlText,
    size::{SPLIT, grouping_sets, longest_row, relations},
    stream::written,
    time_zone,
    walk::{self, QueryVisitor},
    with::WithNames,
};

/// The most operators, joins and set operations in one statement. Each nests the parsed tree one level deeper, and a tree
/// of any depth would exhaust the stack.
const CHAINED_MAX: usize = 2_000;
/// The most `+`, `||` and the like in one row, as in `a + b + c`. For each of them, the engine asks all before it for
/// their types, which takes seconds for so many.
const ROW_MAX: usize = 1_000;
/// The most tables, subqueries and functions in the FROM clauses of one statement, with names of WITH written out: more
/// take seconds to plan as well.
const RELATIONS_MAX: u64 = 1_000;
/// The most sets of columns by which one statement groups.
const GROUPING_SETS_MAX: u64 = 10_000;
/// The largest size of one statement in bytes, the same as that of a project's file.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// The levels of `CASE`, or of `NOT`, below which a statement never fails for its depth.
const NESTED_MAX: usize = 20;

/// The text's only statement.
pub(crate) fn parse_statement(text: &SqlText<'_>) -> Result<PlanStatement, Problem> {
    parse_one(text).map_err(|problem| foreign_text(text).unwrap_or(problem))
}

fn parse_one(text: &SqlText<'_>) -> Result<PlanStatement, Problem> {
    let wrong = |error| first_problem(&error, text);
    let tokens = tokens(text)?;
    let second = second_statement(&tokens).and_then(|span| text.token_range(span));
    let deep = too_deep(&tokens, text);
    let parsed = DFParserBuilder::new(tokens).with_dialect(&MillstreamDialect).build();
    let parsed = parsed.and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|error| deep.unwrap_or_else(|| wrong(error)))?;
    match (statements.pop_front(), statements.front()) {
        (Some(mut only), None) => {
            rewrite_time_zones(&mut only);
            rewrite_windows(&mut only, text)?;
            Ok(only)
        }
        (None, _) => Err(Problem::new(codes::NOT_A_QUERY, "there is no SQL here", text.whole())
            .with_hint("write one SELECT statement")),
        (Some(_), Some(_)) => {
            let at = second.unwrap_or_else(|| text.whole());
            Err(Problem::new(codes::NOT_A_QUERY, "more than one statement", at)
                .with_label("the second one starts here")
                .with_hint("keep one SELECT statement"))
        }
    }
}

/// The problem of a text that other tools leave in SQL and only they understand. It is looked for only where the text is
/// no SQL, because a text in quotes may hold any of it.
fn foreign_text(text: &SqlText<'_>) -> Option<Problem> {
    const MARKER: &str = "<<<<<<< ";
    let lines = text.text.split_inclusive('\n');
    let starts = lines.scan(0, |next, line| Some((std::mem::replace(next, *next + line.len()), line)));
    for (start, line) in starts {
        if line.starts_with(MARKER) {
            let at = start..start + line.trim_end().len();
            return Some(
                Problem::new(codes::SYNTAX, "a merge left its conflict in the file", at)
                    .with_hint("keep one of the two sides, and remove the lines of `<`, `=` and `>`"),
            );
        }
    }
    let (start, end) = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")]
        .into_iter()
        .filter_map(|(open, close)| Some((text.text.find(open)?, close)))
        .min_by_key(|(start, _)| *start)?;
    let length = text.text.get(start..)?.find(end).map_or(2, |length| length + end.len());
    Some(
        Problem::new(codes::SYNTAX, "there is no template language in SQL files", start..start + length).with_hint(
            "name tables as `schema.table`: `bronze.orders` for a source, `silver.orders` for `tables/silver/orders.sql`; \
             what differs between environments stands in `millstream.yaml`",
        ),
    )
}

/// The text's only expression, which has no name.
pub(crate) fn parse_expression(text: &SqlText<'_>) -> Result<Expr, Problem> {
    let wrong = |error| first_problem(&error, text);
    let parser = DFParserBuilder::new(tokens(text)?).with_dialect(&MillstreamDialect).build();
    let mut parsed = parser.and_then(|mut parser| parser.parse_into_expr()).map_err(wrong)?;
    time_zone::rewrite(&mut parsed.expr);
    short_rows(&parsed.expr, text)?;
    match parsed.alias {
        None => Ok(parsed.expr),
        Some(alias) => {
            let at = text.token_range(alias.span).unwrap_or_else(|| text.whole());
            let message = format!("an expression has no name of its own, found `{alias}`");
            Err(Problem::new(codes::SYNTAX, message, at).with_hint("remove it"))
        }
    }
}

fn rewrite_time_zones(statement: &mut PlanStatement) {
    match statement {
        PlanStatement::Statement(inner) => time_zone::rewrite(inner.as_mut()),
        PlanStatement::Explain(explain) => rewrite_time_zones(&mut explain.statement),
        _ => {}
    }
}

fn rewrite_windows(statement: &mut PlanStatement, text: &SqlText<'_>) -> Result<(), Problem> {
    match statement {
        PlanStatement::Statement(inner) => written::rewrite(inner.as_mut(), text),
        PlanStatement::Explain(explain) => rewrite_windows(&mut explain.statement, text),
        _ => Ok(()),
    }
}

fn tokens(text: &SqlText<'_>) -> Result<Vec<TokenWithSpan>, Problem> {
    let large = |message: String| Problem::new(codes::STATEMENT_SIZE, message, text.whole());
    if text.text.len() > STATEMENT_BYTES_MAX {
        let message = format!("the statement has more than {STATEMENT_BYTES_MAX} bytes");
        return Err(large(message).with_hint("read a long list of values from a table"));
    }
    let tokens = Tokenizer::new(&MillstreamDialect, text.text).tokenize_with_location();
    let tokens =
        tokens.map_err(|error| first_problem(&DataFusionError::SQL(Box::new(error.into()), None), text))?;
    if tokens.iter().filter(|token| chains(&token.token)).count() > CHAINED_MAX {
        let message = format!("the statement has more than {CHAINED_MAX} operators");
        return Err(large(message).with_hint("split it into several tables, or write a long list with IN"));
    }
    Ok(tokens)
}

/// The problem of a statement whose `CASE` or `NOT` are nested deeper than the parser goes: the parser gives up without
/// naming the cause.
fn too_deep(tokens: &[TokenWithSpan], text: &SqlText<'_>) -> Option<Problem> {
    let (mut cases, mut nots) = (0_usize, 0_usize);
    let deep = tokens.iter().any(|token| {
        match &token.token {
            Token::Whitespace(_) => {}
            Token::Word(word) => match word.keyword {
                Keyword::CASE => cases += 1,
                Keyword::END => cases = cases.saturating_sub(1),
                Keyword::NOT => nots += 1,
                _ => nots = 0,
            },
            _ => nots = 0,
        }
        cases.max(nots) > NESTED_MAX
    });
    deep.then(|| {
        Problem::new(codes::SYNTAX, "the statement is nested too deeply", text.whole())
            .with_hint("split it with WITH, or into several tables")
    })
}

fn first_problem(error: &DataFusionError, text: &SqlText<'_>) -> Problem {
    let fallback = || Problem::new(codes::SYNTAX, "the statement cannot be parsed", text.whole());
    explain(error, text).into_iter().next().unwrap_or_else(fallback)
}

/// The first token after the `;` that ends the first statement. The parsed statements do not all know their places.
fn second_statement(tokens: &[TokenWithSpan]) -> Option<Span> {
    let mut tokens = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    let is_end = |token: &&TokenWithSpan| token.token == Token::SemiColon;
    tokens.by_ref().skip_while(is_end).find(is_end)?;
    tokens.find(|token| !is_end(token)).map(|token| token.span)
}

/// Whether the token makes the tree one level deeper each time that it is repeated.
fn chains(token: &Token) -> bool {
    match token {
        Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::DoubleColon
        | Token::LBracket
        | Token::Caret
        | Token::Pipe
        | Token::Ampersand
        | Token::ShiftLeft
        | Token::ShiftRight
        | Token::Arrow
        | Token::LongArrow => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::JOIN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::COLLATE
        ),
        _ => false,
    }
}

/// The text's only statement, which must be a query that reads and does nothing else.
pub(crate) fn parse_query(text: &SqlText<'_>) -> Result<Box<Query>, Problem> {
    match parse_statement(text)? {
        PlanStatement::Statement(statement) => match *statement {
            Statement::Query(query) => reading(query, text),
            other => Err(not_a_query(&other.to_string(), text)),
        },
        other => Err(not_a_query(&other.to_string(), text)),
    }
}

/// Refuses queries that hide a write (`WITH … INSERT`, `SELECT … INTO`).
pub(crate) fn reading(query: Box<Query>, text: &SqlText<'_>) -> Result<Box<Query>, Problem> {
    let mut writes = Writes { found: None, grouping_sets: 0 };
    let _ = walk::visit(query.as_ref(), &mut writes);
    if writes.grouping_sets > GROUPING_SETS_MAX {
        let message = format!("the statement groups by more than {GROUPING_SETS_MAX} sets of columns");
        let hint = "name the sets that are needed: `GROUPING SETS ((a, b), (a))`";
        return Err(Problem::new(codes::STATEMENT_SIZE, message, text.whole()).with_hint(hint));
    }
    short_rows(query.as_ref(), text)?;
    if relations(&query) > RELATIONS_MAX {
        let message = format!(
            "the statement reads from more than {RELATIONS_MAX} places, each name of WITH counted wherever it is used"
        );
        return Err(Problem::new(codes::STATEMENT_SIZE, message, text.whole()).with_hint(SPLIT));
    }
    match writes.found {
        None => Ok(query),
        Some(what) => Err(Problem::new(codes::NOT_A_QUERY, format!("`{what}` is not a query"), text.whole())
            .with_hint("only statements that read are possible: SELECT, or WITH … SELECT")),
    }
}

/// Refuses an expression that takes long to plan.
fn short_rows<N: Visit>(parsed: &N, text: &SqlText<'_>) -> Result<(), Problem> {
    if longest_row(parsed) <= ROW_MAX {
        return Ok(());
    }
    let message = format!("one expression has more than {ROW_MAX} operators in a row");
    let hint = "compute a part of it with WITH, or in a table of its own";
    Err(Problem::new(codes::STATEMENT_SIZE, message, text.whole()).with_hint(hint))
}

pub(crate) fn not_a_query(statement: &str, text: &SqlText<'_>) -> Problem {
    let verb = statement.split_whitespace().next().unwrap_or("this").to_uppercase();
    Problem::new(codes::NOT_A_QUERY, format!("`{verb}` is not a query"), text.whole())
        .with_hint("only statements that read are possible: SELECT, or WITH … SELECT")
}

struct Writes {
    found: Option<String>,
    grouping_sets: u64,
}

impl QueryVisitor for Writes {
    fn query(&mut self, query: &Query) -> ControlFlow<()> {
        match write_in(&query.body) {
            Some(verb) => {
                self.found = Some(verb);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    }

    fn select(&mut self, select: &Select) -> ControlFlow<()> {
        self.grouping_sets = self.grouping_sets.saturating_add(grouping_sets(select));
        if select.into.is_some() {
            self.found = Some("SELECT … INTO".into());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// The first word of a write that stands where a query's body should; set operations are walked on their
/// left side in a loop, because long chains of UNION nest deeply there.
fn write_in(body: &SetExpr) -> Option<String> {
    let mut body = body;
    loop {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => return None,
            SetExpr::SetOperation { left, right, .. } => {
                if let Some(found) = write_in(right) {
                    return Some(found);
                }
                body = left;
            }
            SetExpr::Insert(_) => return Some("INSERT".into()),
            SetExpr::Update(_) => return Some("UPDATE".into()),
            SetExpr::Delete(_) => return Some("DELETE".into()),
            SetExpr::Merge(_) => return Some("MERGE".into()),
        }
    }
}

/// A table's name as it stands in a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The parts of the name; unquoted ones in lower case.
    pub(crate) parts: Vec<String>,
    pub(crate) range: Range<usize>,
    /// Whether the query asks for a version of the table.
    pub(crate) versioned: bool,
}

/// The tables that a query names, in the order of the text, without names that a WITH clause defines.
pub(crate) fn references(query: &Query, text: &SqlText<'_>) -> Vec<Reference> {
    let mut collect = References { text, found: Vec::new(), names: WithNames::default() };
    let _ = walk::visit(query, &mut collect);
    collect.found.sort_by_key(|reference| reference.range.start);
    collect.found
}

/// The name's parts as the planner reads them.
pub(crate) fn name_parts(name: &ObjectName) -> Vec<String> {
    let part = |ident: &Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    name.0.iter().map(|name| name.as_ident().map_or_else(|| name.to_string(), part)).collect()
}

/// The place of a table's name. The parser keeps no place of a name in single quotes, so that one is searched for.
pub(crate) fn name_range(name: &ObjectName, text: &SqlText<'_>) -> Range<usize> {
    text.token_range(name.span()).unwrap_or_else(|| {
        let written = name.to_string();
        text.text.find(&written).map_or_else(|| text.whole(), |start| start..start + written.len())
    })
}

/// What to do about a table's name that is written as a text, as other tools name files.
pub(crate) fn text_as_table(range: &Range<usize>, text: &SqlText<'_>) -> Option<String> {
    let is_text = text.text.get(range.clone()).is_some_and(|name| name.starts_with('\''));
    is_text.then(|| {
        "files are read through a source, `sources/<name>.yaml`; tables are named `schema.table`, as in `bronze.orders`"
            .to_owned()
    })
}

struct References<'a> {
    text: &'a SqlText<'a>,
    found: Vec<Reference>,
    names: WithNames<()>,
}

impl QueryVisitor for References<'_> {
    fn query(&mut self, query: &Query) -> ControlFlow<()> {
        self.names.open(query);
        ControlFlow::Continue(())
    }

    fn query_end(&mut self, _: &Query) -> ControlFlow<()> {
        self.names.close(());
        ControlFlow::Continue(())
    }

    fn table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: None, version, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let parts = name_parts(name);
        let is_defined = matches!(parts.as_slice(), [only] if self.names.find(only).is_some());
        if !is_defined {
            let range = name_range(name, self.text);
            self.found.push(Reference { parts, range, versioned: version.is_some() });
        }
        ControlFlow::Continue(())
    }
}
