//! What a project says of when an asset runs.

use std::fmt;

use crate::{CatchUp, Trigger};

/// When an asset runs by itself, and how it takes its place among others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// What makes the asset run; without any, only a command that names it does.
    pub triggers: Vec<Trigger>,
    pub catch_up: CatchUp,
    /// Among assets that wait, the higher priority goes first.
    pub priority: i8,
    /// The pools in each of which the asset's step takes one place.
    pub pools: Vec<String>,
}

impl Schedule {
    /// The schedule of one trigger.
    #[must_use]
    pub fn of(trigger: Trigger) -> Self {
        Self { triggers: vec![trigger], ..Self::default() }
    }

    /// Whether only a command that names the asset makes it run.
    #[must_use]
    pub fn is_by_hand(&self) -> bool {
        self.triggers.iter().all(|trigger| *trigger == Trigger::Manual)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, trigger) in self.triggers.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{trigger}")?;
        }
        if self.triggers.is_empty() { Trigger::Manual.fmt(f) } else { Ok(()) }
    }
}
