//! A story: steps that are played on a world, some of which tell lines. A test case is a story with the lines that it should
//! tell.

use std::{fmt::Write, time::Duration};

use millstream_connector::Bound;
use millstream_engine::{BackfillRequest, BackfillWish, MaterializeRequest, RunRequest};
use millstream_state::Moment;

use super::{Act, Call, Definition, Ended, Harm, Injection, Line, World, block_on};

/// One step of a story. Parts are named `place/part`.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Makes a part or replaces it.
    Put(&'static str, &'static str),
    /// Adds rows to a part.
    Append(&'static str, &'static str),
    Touch(&'static str),
    /// A part cannot be read beyond its first rows.
    Spoil(&'static str, usize),
    Remove(&'static str),
    /// A part is not ready.
    Hold(&'static str, &'static str),
    /// The next calls to a source fail.
    Fail(&'static str, Call, Harm, usize),
    /// One commit takes in so many rows of a source.
    Bound(&'static str, u64),
    /// Tells how far a source was told that its rows are durable.
    Acknowledged(&'static str),
    /// Rows come to a part in the midst of the next such call.
    Meanwhile(&'static str, Call, &'static str),
    /// The project is another one.
    Define(String),
    /// So many seconds go by, or back.
    Pass(i64),
    /// Files of the lake are taken away.
    Lose(&'static str),
    /// A file of the lake holds nonsense from here on.
    Garble(&'static str),
    /// The state store is taken away.
    LoseState,
    /// The files of a dataset's versions are taken away.
    LoseDataset(&'static str),
    Run,
    /// A run of every kind of asset.
    RunAll,
    /// A run of every kind of asset, for this selection.
    RunNamed(&'static [&'static str]),
    /// A run whose process dies at the first point of this name.
    Die(Moment, &'static str),
    /// A step whose process dies at the first point of this name.
    DieIn(Box<Step>, Moment, &'static str),
    /// A run of the selection with a full refresh.
    RunAnew(&'static [&'static str]),
    /// A run of the selection with a full refresh, which forgets parts that are gone from the source.
    ForgetGone(&'static [&'static str]),
    /// A run of the selection, although it is up to date.
    Force(&'static [&'static str]),
    Reprocess(&'static str),
    /// A backfill of a table from one time up to another.
    Backfill(&'static str, &'static str, &'static str),
    /// A backfill of what is missing in a table.
    BackfillMissing(&'static str),
    /// A backfill of one partition with a value for a parameter: table, partition, `name=value`.
    BackfillWith(&'static str, &'static str, &'static str),
    /// A backfill of one partition, whether or not it is built.
    BackfillOnly(&'static str, &'static str),
    /// Tells where the partitions of a table stand.
    Partitions(&'static str),
    Maintain(Duration),
    /// The housekeeping that is due.
    KeepHouse,
    /// Tells what is wrong with housekeeping.
    Alarms,
    Materialize,
    MaterializeAnew,
    Dataset(&'static str),
    /// Tells the rows of a table.
    Rows(&'static str),
    /// Tells the rows of a table at an earlier version.
    RowsAt(&'static str, i64),
    /// Tells the rows of a table with what says when and from where they came.
    FullRows(&'static str),
    /// Tells what was kept out of a table, as people are shown it.
    Rejected(&'static str),
    /// Tells what is known of a table's checks.
    Checks(&'static str),
    /// Tells which tables cannot be read, and why.
    Unreadable,
    /// Tells what a run would do, and why.
    Plan,
    /// Tells what a run of every kind of asset would do, and why.
    PlanAll,
    /// Tells the features of the customers 1 to 3, as a request reads them.
    Features,
    /// Tells the rows of the newest version of a dataset.
    DatasetRows(&'static str),
    /// Tells the schemas that are recorded of a source's table.
    Schemas(&'static str),
    /// Tells how the runs ended, the newest first.
    Runs,
    /// Tells how far a source was landed.
    Positions(&'static str),
    /// Tells which datasets are recorded and which versions of tables are kept for them.
    Datasets,
    /// Tells what the engine noted since the last time.
    Notes,
}

/// Plays the steps on a world of the project `text`; what was told has to be `expected`.
#[track_caller]
pub(crate) fn check(text: &str, steps: &[Step], expected: &str) {
    let told = block_on(async {
        let mut world = World::new(Definition::of(text));
        let mut told = String::new();
        for step in steps {
            Box::pin(play(&mut world, step, &mut told)).await;
        }
        told
    });
    let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
    assert!(told == expected, "--- told\n{told}--- expected\n{expected}");
}

async fn play(world: &mut World, step: &Step, told: &mut String) {
    let script = world.definition.script.clone();
    match step {
        Step::Put(name, text) => script.put(split(name).0, split(name).1, text),
        Step::Append(name, rows) => script.append(split(name).0, split(name).1, rows),
        Step::Touch(name) => script.touch(split(name).0, split(name).1),
        Step::Spoil(name, rows) => script.spoil(split(name).0, split(name).1, *rows),
        Step::Remove(name) => script.remove(split(name).0, split(name).1),
        Step::Hold(name, reason) => script.hold(split(name).0, split(name).1, reason),
        Step::Fail(place, call, harm, times) => script.fail(place, *call, *harm, *times),
        Step::Meanwhile(name, call, rows) => script.meanwhile(split(name).0, split(name).1, *call, rows),
        Step::Bound(place, rows) => {
            script.bound(place, Bound { rows: Some(*rows), ..Bound::NONE });
        }
        Step::Acknowledged(place) => {
            let told_of = script.acknowledged(place).into_iter();
            tell(told, told_of.map(|(part, position)| format!("{part} is safe up to {position}")).collect());
        }
        Step::Define(text) => world.define(text),
        Step::Pass(seconds) => world.clock.pass(*seconds),
        Step::Lose(prefix) => world.shelf.lose(prefix).await,
        Step::Garble(path) => world.shelf.spoil(path).await,
        Step::LoseState => world.lose_state(),
        Step::LoseDataset(name) => world.lose_dataset(name),
        Step::Rows(table) => {
            writeln!(told, "{table}:").unwrap();
            tell(told, world.rows(table).await);
        }
        Step::RowsAt(table, version) => {
            writeln!(told, "{table} at {version}:").unwrap();
            tell(told, world.rows_at(table, *version).await);
        }
        Step::FullRows(table) => {
            writeln!(told, "{table}:").unwrap();
            tell(told, world.full_rows(table).await);
        }
        Step::Rejected(table) => tell(told, world.rejected(table).await),
        Step::Checks(table) => tell(told, world.checks(table).await),
        Step::Partitions(table) => tell(told, world.partitions(table).await),
        Step::Unreadable => tell(told, world.unreadable().await),
        Step::Alarms => tell(told, world.alarms().await),
        Step::Plan => tell(told, world.plan().await),
        Step::PlanAll => tell(told, world.plan_all().await),
        Step::Features => tell(told, world.features().await),
        Step::DatasetRows(name) => tell(told, world.dataset(name).await),
        Step::Schemas(source) => tell(told, world.schemas(source).await),
        Step::Runs => tell(told, world.runs().await),
        Step::Positions(source) => tell(told, world.positions(source).await),
        Step::Notes => tell(told, world.notes.take()),
        Step::Datasets => tell(told, world.datasets().await),
        Step::Die(moment, name) => die(world, &act_of(&Step::Run), *moment, name).await,
        Step::DieIn(step, moment, name) => die(world, &act_of(step), *moment, name).await,
        act => {
            let act = act_of(act);
            match world.act(&act).await {
                Ended::Well(text) => tell(told, text.lines().map(str::to_owned).collect()),
                Ended::Badly(text) => tell(told, text.lines().map(|line| format!("! {line}")).collect()),
                Ended::Died => tell(told, vec!["died".to_owned()]),
            }
        }
    }
}

/// The place and the part that a name `place/part` stands for.
fn split(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap()
}

/// Lets the process die at the point of that name. A copy of the world is played first, to find the point's number.
async fn die(world: &World, act: &Act, moment: Moment, name: &str) {
    let line = Line::quiet();
    world.fork().act_on(act, &line).await;
    let points = line.points();
    let at = points.iter().position(|point| point.what.contains(name));
    let at = at.unwrap_or_else(|| panic!("no point is named `{name}`: {points:#?}"));
    let line = Line::harmed(Injection { at, moment, harm: Harm::Death });
    assert_eq!(world.act_on(act, &line).await, Ended::Died);
}

fn act_of(step: &Step) -> Act {
    let selection = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match step {
        Step::ForgetGone(names) => Act::Run(RunRequest {
            selection: selection(names),
            full_refresh: true,
            forget_gone: true,
            ..RunRequest::default()
        }),
        Step::RunAnew(names) => {
            Act::Run(RunRequest { selection: selection(names), full_refresh: true, ..RunRequest::default() })
        }
        Step::Force(names) => {
            Act::Run(RunRequest { selection: selection(names), force: true, ..RunRequest::default() })
        }
        Step::Reprocess(table) => Act::Reprocess(table),
        Step::Backfill(table, from, to) => Act::Backfill(BackfillRequest {
            asset: (*table).to_owned(),
            wish: BackfillWish::Between { from: (*from).to_owned(), to: Some((*to).to_owned()) },
            ..BackfillRequest::default()
        }),
        Step::BackfillMissing(table) => {
            Act::Backfill(BackfillRequest { asset: (*table).to_owned(), ..BackfillRequest::default() })
        }
        Step::BackfillOnly(table, partition) => Act::Backfill(BackfillRequest {
            asset: (*table).to_owned(),
            wish: BackfillWish::Named(vec![(*partition).to_owned()]),
            force: true,
            ..BackfillRequest::default()
        }),
        Step::BackfillWith(table, partition, set) => {
            let (name, value) = set.split_once('=').unwrap();
            Act::Backfill(BackfillRequest {
                asset: (*table).to_owned(),
                wish: BackfillWish::Named(vec![(*partition).to_owned()]),
                set: [(name.to_owned(), value.to_owned())].into(),
                ..BackfillRequest::default()
            })
        }
        Step::Maintain(retention) => Act::Maintain(*retention),
        Step::KeepHouse => Act::KeepHouse,
        Step::Materialize => Act::Materialize(MaterializeRequest::default()),
        Step::MaterializeAnew => {
            Act::Materialize(MaterializeRequest { full: true, ..MaterializeRequest::default() })
        }
        Step::Dataset(name) => Act::Dataset(name),
        Step::RunAll => Act::RunAll(RunRequest::default()),
        Step::RunNamed(names) => {
            Act::RunAll(RunRequest { selection: selection(names), ..RunRequest::default() })
        }
        _ => Act::Run(RunRequest::default()),
    }
}

fn tell(told: &mut String, lines: Vec<String>) {
    if lines.is_empty() {
        told.push_str("(nothing)\n");
    }
    for line in lines {
        told.push_str(line.trim_end());
        told.push('\n');
    }
}
