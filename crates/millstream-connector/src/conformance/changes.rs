//! The suite for connectors that tell what happened to rows: whatever comes, is read in which portions and is lost with a
//! process, the rows that a reader keeps by their key are those of the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{Array, RecordBatch},
    util::display::{ArrayFormatter, FormatOptions},
};
use async_trait::async_trait;
use futures::future::LocalBoxFuture;

use super::{discover, ensure, finish, read};
use crate::{
    Bound, Connector, ConnectorError, KnownPart, Operation, Part, PartChange, ReadRequest, SourceBatch,
};

/// Rounds in which the source changes and is read.
const ROUNDS: usize = 12;
/// Keys of the table; few, so that operations meet.
const KEYS: u64 = 7;

/// A table that the suite can change, with a whole number `id` as its key and a text `note`.
#[async_trait]
pub trait ChangeFixture: Send {
    /// A connector over the table's changes, with a first copy of its rows if it has any. Called again for each process.
    fn connector(&self) -> Result<Arc<dyn Connector>, ConnectorError>;

    /// Carries out the changes, in their order, as one transaction.
    async fn change(&mut self, transaction: &[RowChange]);

    /// Whether the table can be emptied at once.
    fn truncates(&self) -> bool {
        false
    }

    /// Whether the rows of a transaction come together: a read never ends in its midst.
    fn keeps_transactions(&self) -> bool {
        true
    }
}

/// One change of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    Insert {
        id: i64,
        note: String,
    },
    Update {
        id: i64,
        note: String,
    },
    /// The row gets another key and keeps its note, which is this one.
    Move {
        from: i64,
        to: i64,
        note: String,
    },
    Delete {
        id: i64,
    },
    Truncate,
}

/// The rows of the table by their key, as text.
type Rows = BTreeMap<String, String>;

/// Runs the suite; equal seeds are equal runs.
pub fn check_changes<'a>(
    fixture: &'a mut dyn ChangeFixture,
    seed: u64,
) -> LocalBoxFuture<'a, Result<(), String>> {
    Box::pin(async move {
        let mut dice = Dice(seed);
        let mut table = BTreeMap::new();
        // The states of the table between transactions.
        let mut states = vec![Rows::new()];
        let mut reader = Reader::default();
        for round in 0..ROUNDS {
            for _ in 0..=dice.below(4) {
                let transaction = transaction(&mut dice, &mut table, fixture.truncates());
                fixture.change(&transaction).await;
                states.push(
                    table.iter().map(|(id, note): (&i64, &String)| (id.to_string(), note.clone())).collect(),
                );
            }
            let place = format!("seed {seed}, round {round}");
            reader.catch_up(fixture, &mut dice, &states).await.map_err(|why| format!("{place}: {why}"))?;
            let expected = states.last().cloned().unwrap_or_default();
            ensure(reader.rows == expected, || format!("{place}: {:?} is not {expected:?}", reader.rows))?;
        }
        Ok(())
    })
}

/// Some changes that the table can take, carried out on `table`.
fn transaction(dice: &mut Dice, table: &mut BTreeMap<i64, String>, truncates: bool) -> Vec<RowChange> {
    let mut changes = Vec::new();
    for _ in 0..=dice.below(4) {
        let (id, other) = (dice.id(), dice.id());
        let note = format!("n{}", dice.below(1_000));
        let change = match (dice.below(40), table.contains_key(&id)) {
            (0, _) if truncates => RowChange::Truncate,
            (_, false) => RowChange::Insert { id, note },
            (1..=9, true) => RowChange::Delete { id },
            (10..=19, true) if !table.contains_key(&other) => {
                let note = table.get(&id).cloned().unwrap_or_default();
                RowChange::Move { from: id, to: other, note }
            }
            (_, true) => RowChange::Update { id, note },
        };
        match &change {
            RowChange::Insert { id, note } | RowChange::Update { id, note } => {
                drop(table.insert(*id, note.clone()));
            }
            RowChange::Move { from, to, note } => {
                table.remove(from);
                table.insert(*to, note.clone());
            }
            RowChange::Delete { id } => drop(table.remove(id)),
            RowChange::Truncate => table.clear(),
        }
        changes.push(change);
    }
    changes
}

/// What one reader has made durable.
#[derive(Default)]
struct Reader {
    rows: Rows,
    known: Vec<KnownPart>,
    /// The parts that were ever read: there is no order between the changes of several.
    parts: BTreeSet<String>,
}

impl Reader {
    /// Reads in portions until nothing waits; each process may die before what it read is durable, or before it told
    /// the source.
    async fn catch_up(
        &mut self,
        fixture: &dyn ChangeFixture,
        dice: &mut Dice,
        states: &[Rows],
    ) -> Result<(), String> {
        loop {
            let connector = connect(fixture)?;
            if dice.below(2) == 0 {
                self.acknowledge(&*connector).await?;
            }
            let found = discover(&*connector, &self.known).await?;
            let Some(part) = found.parts.first() else { return Ok(()) };
            let (rows, known) = self.portion(&*connector, part, dice).await?;
            if dice.below(3) == 0 {
                continue;
            }
            self.rows = rows;
            self.known.retain(|before| before.id != known.id);
            self.known.push(known);
            self.parts.insert(part.id.clone());
            ensure(
                !fixture.keeps_transactions() || self.parts.len() > 1 || states.contains(&self.rows),
                || format!("a read ended within a transaction: {:?} was never there", self.rows),
            )?;
            if dice.below(2) == 0 {
                self.acknowledge(&*connector).await?;
            }
        }
    }

    async fn acknowledge(&self, connector: &dyn Connector) -> Result<(), String> {
        let told = connector.acknowledge(&self.known).await;
        told.map_err(|error| format!("acknowledge: {error}: {error:?}"))
    }

    /// Reads one portion, and gives the rows as they are with it, and where the read ended.
    async fn portion(
        &self,
        connector: &dyn Connector,
        part: &Part,
        dice: &mut Dice,
    ) -> Result<(Rows, KnownPart), String> {
        let known = self.known.iter().find(|known| known.id == part.id);
        let after = match part.change {
            PartChange::Grown => known.map(|known| known.position),
            PartChange::New => None,
            PartChange::Replaced => return Err(format!("`{}` is a log and was replaced", part.id)),
        };
        let until = Bound { rows: Some(1 + dice.below(6)), ..Bound::NONE };
        let request = ReadRequest { after, until, ..ReadRequest::default() };
        let batches = read(connector, part, &request).await?;
        let end = finish(connector, part).await?;
        let last = batches.iter().filter_map(|batch| batch.last_position).max();
        let position = last.max(end.position).max(after);
        ensure(!end.more || position > after, || {
            format!("more of `{}` waits, and a read came no further than {after:?}", part.id)
        })?;
        let mut rows = self.rows.clone();
        for batch in &batches {
            fold(&mut rows, batch)?;
        }
        let position = position.unwrap_or(0);
        Ok((rows, KnownPart { id: part.id.clone(), version: end.version, position }))
    }
}

/// Carries out the operations of a batch.
fn fold(rows: &mut Rows, batch: &SourceBatch) -> Result<(), String> {
    ensure(batch.malformed.is_empty(), || format!("malformed: {:?}", batch.malformed))?;
    let Some(operations) = &batch.operations else { return Err("a batch has no operations".into()) };
    let count = batch.rows.num_rows();
    let before = operations.before.as_ref();
    ensure(
        operations.kinds.len() == count && before.is_none_or(|before| before.num_rows() == count),
        || {
            format!(
                "{count} rows have {} operations and {:?} rows before them",
                operations.kinds.len(),
                before.map(RecordBatch::num_rows)
            )
        },
    )?;
    for (row, kind) in operations.kinds.iter().enumerate() {
        let id = text(&batch.rows, "id", row)?;
        if *kind == Operation::Truncate {
            rows.clear();
            continue;
        }
        let Some(id) = id else { return Err(format!("the operation {} has no key", kind.as_str())) };
        match kind {
            Operation::Delete => drop(rows.remove(&id)),
            _ => {
                if let Some(before) = before.filter(|_| *kind == Operation::Update)
                    && let Some(old) = text(before, "id", row)?
                {
                    rows.remove(&old);
                }
                rows.insert(id, text(&batch.rows, "note", row)?.unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// A value as text; `None` for null.
fn text(rows: &RecordBatch, column: &str, row: usize) -> Result<Option<String>, String> {
    let Some(values) = rows.column_by_name(column) else {
        return Err(format!("there is no column `{column}`"));
    };
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(values.as_ref(), &options).map_err(|error| error.to_string())?;
    Ok(values.is_valid(row).then(|| formatter.value(row).to_string()))
}

fn connect(fixture: &dyn ChangeFixture) -> Result<Arc<dyn Connector>, String> {
    fixture.connector().map_err(|error| format!("the connector cannot be built: {error}"))
}

/// SplitMix64: equal seeds give equal runs on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn id(&mut self) -> i64 {
        i64::try_from(self.below(KEYS)).unwrap_or(0)
    }
}
