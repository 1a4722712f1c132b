//! Joins against two nested loops.

use millstream_stream::{Distance, JoinKind};
use proptest::prelude::*;

use crate::{
    pipelines::{NONE, join_definition, joined},
    world::{Row, SECOND, Step, Told, arrival, batch, cells, row, rows, seconds, sorted},
};

fn naive(left: &[Row], right: &[Row], kind: JoinKind, lower: i64, upper: i64) -> Vec<String> {
    let line = |row: &Row| cells(&batch(std::slice::from_ref(row)))[0].join("|");
    let nothing = ["null"; 7].join("|");
    let mut pairs = Vec::new();
    for ours in left {
        let mut met = false;
        for theirs in right {
            let apart = theirs.at.unwrap() - ours.at.unwrap();
            if ours.key.is_some()
                && ours.key == theirs.key
                && (lower * SECOND..=upper * SECOND).contains(&apart)
            {
                met = true;
                pairs.push(format!("{}|{}", line(ours), line(theirs)));
            }
        }
        if !met && kind == JoinKind::Left {
            pairs.push(format!("{}|{nothing}", line(ours)));
        }
    }
    sorted(pairs)
}

fn distance(seconds_apart: i64) -> Distance {
    let span = seconds(seconds_apart.unsigned_abs());
    if seconds_apart < 0 { Distance::Earlier(span) } else { Distance::Later(span) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pairs_are_those_of_two_loops(
        (rows, arrivals, sides) in rows(0..60, 40, 3).prop_flat_map(|rows| {
            let count = rows.len();
            let arrivals = (1..3_u32).prop_flat_map(move |partitions| {
                (arrival(count, partitions, 5 * SECOND), arrival(count, partitions, 5 * SECOND))
            });
            (Just(rows), arrivals, proptest::collection::vec(any::<bool>(), count))
        }),
        turns in proptest::collection::vec(any::<bool>(), 200),
        bounds in (-8..8_i64, -8..8_i64),
        left_join in any::<bool>(),
    ) {
        let (lower, upper) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
        let kind = if left_join { JoinKind::Left } else { JoinKind::Inner };
        let side = |wanted: bool| -> Vec<Row> {
            rows.iter().zip(&sides).filter(|(_, side)| **side == wanted).map(|(row, _)| row.clone()).collect()
        };
        let (left, right) = (side(true), side(false));
        let mut queues = [arrivals.0.steps(0, &left), arrivals.1.steps(1, &right)].map(Vec::into_iter);
        let mut steps = Vec::new();
        for turn in turns.into_iter().chain([true, false].into_iter().cycle()) {
            steps.extend(queues[usize::from(turn)].next());
            if queues.iter().all(|queue| queue.len() == 0) {
                break;
            }
        }
        steps.push(Step::End);
        let definition = join_definition(kind, distance(lower), distance(upper));
        let told = joined(arrivals.0.partitions, seconds(5), &definition).run(&steps);
        prop_assert_eq!(&told.refused, &[]);
        prop_assert_eq!(sorted(told.rows), naive(&left, &right, kind, lower, upper));
    }
}

fn push(source: usize, rows: Vec<Row>) -> Step {
    Step::Push { source, partition: 0, rows }
}

fn run(kind: JoinKind, steps: &[Step]) -> Told {
    joined(1, NONE, &join_definition(kind, distance(-2), distance(2))).run(steps)
}

#[test]
fn a_row_without_a_partner_is_told_when_none_can_come() {
    let mut world = joined(1, NONE, &join_definition(JoinKind::Left, distance(-2), distance(2)));
    let mut told = |step: Step| {
        world.step(&step);
        world.told.rows.len()
    };
    assert_eq!(told(push(0, vec![row(0, 1, 1), row(10 * SECOND, 2, 2)])), 0);
    assert_eq!(told(push(1, vec![row(2 * SECOND, 3, 1)])), 0, "a partner may still come at the bound");
    assert_eq!(told(push(1, vec![row(3 * SECOND, 3, 1)])), 1);
    assert_eq!(told(Step::End), 2);
}

#[test]
fn a_hot_key_is_told_in_batches() {
    let rows = |count: i64| (0..count).map(|number| row(number, 1, number)).collect::<Vec<_>>();
    let told = run(JoinKind::Inner, &[push(0, rows(300)), push(1, rows(300)), Step::End]);
    assert_eq!(told.rows.len(), 90_000);
}

#[test]
fn late_rows_are_refused_on_both_sides() {
    let first = || vec![row(0, 1, 1), row(10 * SECOND, 1, 1)];
    let late = || vec![row(9 * SECOND, 1, 7)];
    let told = run(
        JoinKind::Left,
        &[push(0, first()), push(1, first()), push(0, late()), push(1, late()), Step::End],
    );
    assert_eq!(told.refused.len(), 2);
    assert_eq!(told.rows.len(), 2);
}

#[test]
fn rows_that_nobody_can_meet_are_let_go() {
    let mut world = joined(1, NONE, &join_definition(JoinKind::Left, distance(-2), distance(2)));
    let mut held = Vec::new();
    for second in 0..4_000_i64 {
        world.step(&push(0, vec![row(second * SECOND, second, 1)]));
        world.step(&push(1, vec![row(second * SECOND, second * 2, 1)]));
        held.push(world.pipeline.figures().state_bytes());
    }
    // Hash tables grow and shrink by chance; a leak would be tenfold.
    let (early, late) = (held[200..400].iter().max(), held[2_000..].iter().max());
    assert!(late.unwrap() <= &(2 * early.unwrap()), "{early:?} {late:?}");
}
