//! The columns of a block, found key by key while its lines are parsed.

use std::collections::HashMap;

use crate::text_columns::TextColumn;

/// More different keys in one block are refused: they are data, not columns.
pub(crate) const COLUMNS_MAX: usize = 4096;

/// A line's members, gathered column by column.
#[derive(Debug)]
pub(crate) struct JsonColumns {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    pub(crate) columns: Vec<TextColumn>,
    /// Rows that are complete.
    pub(crate) rows: usize,
    /// The column after the one that was met last; most lines repeat the order of the line before.
    expected: usize,
}

impl JsonColumns {
    pub(crate) fn new(names: impl Iterator<Item = String>, rows_guess: usize, bytes_guess: usize) -> Self {
        let names: Vec<String> = names.collect();
        let by_name = names.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        let columns = names.iter().map(|_| TextColumn::with_capacity(rows_guess, bytes_guess)).collect();
        Self { names, by_name, columns, rows: 0, expected: 0 }
    }

    /// The column of `key`, a new one if need be.
    pub(crate) fn index(&mut self, key: &str) -> Result<usize, String> {
        let index = match self.names.get(self.expected) {
            Some(name) if name == key => self.expected,
            _ => match self.by_name.get(key) {
                Some(index) => *index,
                None => self.add(key)?,
            },
        };
        self.expected = index + 1;
        if self.columns[index].len() > self.rows {
            return Err(format!("it holds the key `{key}` twice"));
        }
        Ok(index)
    }

    pub(crate) fn end_row(&mut self) {
        self.rows += 1;
        self.expected = 0;
        for column in &mut self.columns {
            if column.len() < self.rows {
                column.push_null();
            }
        }
    }

    /// Takes back what a line has left in the columns.
    pub(crate) fn undo_row(&mut self) {
        self.expected = 0;
        self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
    }

    pub(crate) fn into_parts(self) -> impl Iterator<Item = (String, TextColumn)> {
        self.names.into_iter().zip(self.columns)
    }

    fn add(&mut self, key: &str) -> Result<usize, String> {
        if self.names.len() >= COLUMNS_MAX {
            return Err(format!("the lines around it hold more than {COLUMNS_MAX} different keys"));
        }
        let index = self.names.len();
        let mut column = TextColumn::with_capacity(self.rows, 0);
        column.push_nulls(self.rows);
        self.columns.push(column);
        self.names.push(key.to_owned());
        self.by_name.insert(key.to_owned(), index);
        Ok(index)
    }
}
