//! Aligned columns, printed piece by piece so that a result of any length needs bounded memory.

use unicode_width::UnicodeWidthStr;

use crate::{
    human,
    output::{FAINT, STRONG, styled},
};

/// Columns between two cells.
const GAP: usize = 2;
/// No column is squeezed below this.
const WIDTH_MIN: usize = 6;

/// The width of each column, and to which side its cells stand.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    widths: Vec<usize>,
    right: Vec<bool>,
}

impl Layout {
    /// Fits the columns to these rows and, if given, to the terminal's width: the widest columns give way.
    /// `right` says which columns stand to the right, as numbers do.
    pub(crate) fn fit(
        header: &[String],
        rows: &[Vec<String>],
        right: Vec<bool>,
        terminal: Option<usize>,
    ) -> Self {
        let mut layout = Self::natural(header, rows, right);
        if let Some(terminal) = terminal {
            layout.squeeze(terminal, |_, _| true);
        }
        layout
    }

    /// Like [`Layout::fit`], for rows whose names are in the first column: a cut name does not tell the row and a cut
    /// number is a wrong one, so other texts give way first, then numbers, and the names last.
    fn fit_named(header: &[String], rows: &[Vec<String>], right: Vec<bool>, terminal: Option<usize>) -> Self {
        let mut layout = Self::natural(header, rows, right);
        if let Some(terminal) = terminal {
            layout.squeeze(terminal, |index, is_number| index > 0 && !is_number);
            layout.squeeze(terminal, |index, _| index > 0);
            layout.squeeze(terminal, |_, _| true);
        }
        layout
    }

    /// Each column as wide as its widest cell.
    fn natural(header: &[String], rows: &[Vec<String>], right: Vec<bool>) -> Self {
        let mut widths: Vec<usize> = header.iter().map(|name| width(name)).collect();
        for row in rows {
            for (column, cell) in widths.iter_mut().zip(row) {
                *column = (*column).max(width(cell));
            }
        }
        Self { widths, right }
    }

    /// Cuts the widest of the columns that `gives_way` chooses, by index and whether it stands to the right, to one
    /// common width, so that all columns together take at most `terminal`, or at least as little as they can.
    fn squeeze(&mut self, terminal: usize, gives_way: impl Fn(usize, bool) -> bool) {
        let available = terminal.saturating_sub(GAP * self.widths.len().saturating_sub(1));
        let (mut giving, mut kept) = (Vec::new(), 0);
        for (index, (width, right)) in self.widths.iter_mut().zip(&self.right).enumerate() {
            if gives_way(index, *right) {
                giving.push(width);
            } else {
                kept += *width;
            }
        }
        let sum_with = |cap: usize| kept + giving.iter().map(|width| (**width).min(cap)).sum::<usize>();
        let widest = giving.iter().map(|width| **width).max().unwrap_or(0);
        if sum_with(widest) <= available {
            return;
        }
        let cap = (WIDTH_MIN..widest).rev().find(|cap| sum_with(*cap) <= available).unwrap_or(WIDTH_MIN);
        for width in giving {
            *width = (*width).min(cap);
        }
    }

    /// The column names and a line under them.
    pub(crate) fn header(&self, names: &[String]) -> String {
        let names = self.line(names, |cell| styled(STRONG, cell));
        let rule = self.widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  ");
        format!("{names}{}\n", styled(FAINT, rule))
    }

    /// One line per row.
    pub(crate) fn rows(&self, rows: &[Vec<String>]) -> String {
        rows.iter().map(|row| self.line(row, str::to_owned)).collect()
    }

    fn line(&self, cells: &[String], style: impl Fn(&str) -> String) -> String {
        let mut line = String::new();
        let last = self.widths.len().saturating_sub(1);
        for (index, ((cell, column), right)) in cells.iter().zip(&self.widths).zip(&self.right).enumerate() {
            let cell = if width(cell) > *column { human::shorten(cell, *column) } else { cell.clone() };
            let padding = " ".repeat(column.saturating_sub(width(&cell)));
            let cell = style(&cell);
            match (right, index == last) {
                (true, _) => line.extend([padding.as_str(), cell.as_str()]),
                (false, true) => line.push_str(&cell),
                (false, false) => line.extend([cell.as_str(), padding.as_str()]),
            }
            if index < last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// A whole small table, as wide as the terminal at most. Its first column names the rows.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], right: &[bool]) -> String {
    table_within(header, rows, right, crate::output::terminal_width())
}

/// A whole small table for a terminal of this width; `None` is no terminal, and takes lines of any length.
#[must_use]
pub fn table_within(
    header: &[&str],
    rows: &[Vec<String>],
    right: &[bool],
    terminal: Option<usize>,
) -> String {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let layout = Layout::fit_named(&header, rows, right.to_vec(), terminal);
    format!("{}{}", layout.header(&header), layout.rows(rows))
}

/// The width of a cell in columns of the screen; styles take none.
fn width(cell: &str) -> usize {
    if cell.contains('\u{1b}') {
        anstream::adapter::strip_str(cell).to_string().width()
    } else {
        cell.width()
    }
}
