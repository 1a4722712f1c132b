//! The same rows in the same order, cut into batches in different ways, with rows that are behind the watermark: what is told and what is refused
//! is the same.

use millstream_stream::{Distance, JoinKind};
use proptest::prelude::*;

use crate::{
    pipelines::{
        NONE, chained, deduplicated, hopping, join_definition, joined, joined_and_summed, session, tumbling,
        windowed,
    },
    world::{Row, SECOND, Step, Told, World, rows, seconds, sorted},
};

/// Rows as they come to a pipeline of one or two sources, one partition each, with the ways to cut them.
fn feed() -> impl Strategy<Value = (Vec<(usize, Row)>, Vec<bool>)> {
    rows(1..50, 60, 3).prop_flat_map(|rows| {
        let count = rows.len();
        let sources = proptest::collection::vec(0..2_usize, count);
        let cuts = proptest::collection::vec(proptest::bool::weighted(0.3), count);
        (sources, cuts).prop_map(move |(sources, cuts)| {
            let mut rows = rows.clone();
            // Mostly in order, with steps back that are larger than the disorder.
            let at = |row: &Row| row.at.unwrap() + (row.sequence * 7_919 % 30) * SECOND;
            rows.sort_by_key(at);
            (sources.into_iter().zip(rows).collect(), cuts)
        })
    })
}

fn steps(rows: &[(usize, Row)], sources: usize, cut: impl Fn(usize) -> bool) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, (row_source, row)) in rows.iter().enumerate() {
        let row_source = row_source % sources;
        match steps.last_mut() {
            Some(Step::Push { source, rows, .. }) if *source == row_source && !cut(number) => {
                rows.push(row.clone());
            }
            _ => steps.push(Step::Push { source: row_source, partition: 0, rows: vec![row.clone()] }),
        }
    }
    steps.push(Step::End);
    steps
}

fn check(rows: &[(usize, Row)], cuts: &[bool], ordered: bool, world: impl Fn() -> World) {
    let sources = world().sources.len();
    let run = |cut: &dyn Fn(usize) -> bool| -> Told {
        let mut told = world().run(&steps(rows, sources, cut));
        if !ordered {
            told.rows = sorted(told.rows);
        }
        // How often a row is corrected on the way is nobody's promise.
        (told.merges, told.deletes) = (0, 0);
        told
    };
    let single = run(&|_| true);
    assert_eq!(run(&|_| false), single, "all at once, and row by row");
    assert_eq!(run(&|row| cuts[row]), single, "cut by chance, and row by row");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn windows((rows, cuts) in feed(), disorder in 0..10_u64) {
        for kind in [tumbling(7), hopping(9, 3, 1), hopping(10, 4, 0), session(3)] {
            check(&rows, &cuts, true, || windowed(1, seconds(disorder), kind, NONE));
        }
    }

    #[test]
    fn deduplication((rows, cuts) in feed(), disorder in 0..10_u64) {
        check(&rows, &cuts, true, || deduplicated(1, seconds(disorder), 5));
    }

    #[test]
    fn joins((rows, cuts) in feed(), disorder in 0..10_u64) {
        for kind in [JoinKind::Inner, JoinKind::Left] {
            let definition = join_definition(kind, Distance::Earlier(seconds(4)), Distance::Later(seconds(2)));
            check(&rows, &cuts, false, || joined(1, seconds(disorder), &definition));
        }
    }

    #[test]
    fn chains((rows, cuts) in feed(), disorder in 0..10_u64) {
        check(&rows, &cuts, true, || chained(1, seconds(disorder)));
        check(&rows, &cuts, true, || joined_and_summed(seconds(disorder)));
    }

    /// With an allowed lateness the table is the same, and so are the refused rows.
    #[test]
    fn tables_of_late_rows((rows, cuts) in feed(), disorder in 0..10_u64, lateness in 1..30_u64) {
        for kind in [tumbling(7), hopping(9, 3, 1), session(3)] {
            check_table(&rows, &cuts, || windowed(1, seconds(disorder), kind, seconds(lateness)));
        }
    }
}

fn check_table(rows: &[(usize, Row)], cuts: &[bool], world: impl Fn() -> World) {
    let run = |cut: &dyn Fn(usize) -> bool| {
        let told = world().run(&steps(rows, 1, cut));
        (told.table, told.refused)
    };
    let single = run(&|_| true);
    assert_eq!(run(&|_| false), single, "all at once, and row by row");
    assert_eq!(run(&|row| cuts[row]), single, "cut by chance, and row by row");
}
