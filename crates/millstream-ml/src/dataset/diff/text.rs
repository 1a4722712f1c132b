//! The difference as lines for a terminal.

use std::fmt;

use super::{DatasetDiff, Shift};

/// Digits of a version that are shown.
const VERSION_DIGITS: usize = 12;

impl DatasetDiff {
    /// Whether nothing differs but the names of versions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let columns = &self.columns;
        let is_same = |rows: &super::MatchedRows| rows.added + rows.removed + rows.changed == 0;
        self.rows.before == self.rows.after
            && self.rows.matched.as_ref().is_none_or(is_same)
            && columns.added.is_empty()
            && columns.removed.is_empty()
            && columns.retyped.is_empty()
            && self.inputs.is_empty()
            && self.definitions.is_empty()
            && self.distributions.iter().all(|shift| !shift.is_moved())
    }
}

impl Shift {
    /// Whether any figure moved at all.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        let is_some = |figure: Option<f64>| figure.is_some_and(|figure| figure.abs() > 1e-12);
        let [before, after] = self.nulls;
        (before - after).abs() > 1e-12
            || is_some(self.psi)
            || is_some(self.distance)
            || is_some(self.mean_shift)
    }
}

impl fmt::Display for DatasetDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |version: &str| version.chars().take(VERSION_DIGITS).collect::<String>();
        writeln!(f, "versions  {} -> {}", short(&self.before), short(&self.after))?;
        write!(f, "rows      {} -> {}", self.rows.before, self.rows.after)?;
        match &self.rows.matched {
            Some(rows) => {
                writeln!(f, " ({} added, {} removed, {} changed)", rows.added, rows.removed, rows.changed)
            }
            None => {
                writeln!(f, " (rows cannot be told apart: keys and time are not among the columns of both)")
            }
        }?;
        for column in &self.columns.added {
            writeln!(f, "column    + {} {}", column.name, column.data_type)?;
        }
        for column in &self.columns.removed {
            writeln!(f, "column    - {} {}", column.name, column.data_type)?;
        }
        for column in &self.columns.retyped {
            writeln!(f, "column    ~ {} {} -> {}", column.name, column.before, column.after)?;
        }
        for input in &self.inputs {
            let version =
                |version: Option<i64>| version.map_or_else(|| "none".into(), |version| version.to_string());
            writeln!(f, "input     {} {} -> {}", input.table, version(input.before), version(input.after))?;
        }
        for part in &self.definitions {
            writeln!(f, "changed   {part}")?;
        }
        for shift in self.distributions.iter().filter(|shift| shift.is_moved()) {
            write!(f, "values    {}", shift.name)?;
            for (name, figure) in
                [("psi", shift.psi), ("distance", shift.distance), ("mean shift", shift.mean_shift)]
            {
                if let Some(figure) = figure {
                    write!(f, "  {name} {figure:.3}")?;
                }
            }
            let [before, after] = shift.nulls.map(|share| share * 100.0);
            writeln!(f, "  nulls {before:.1}% -> {after:.1}%")?;
        }
        Ok(())
    }
}
