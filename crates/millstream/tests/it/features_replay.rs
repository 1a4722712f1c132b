//! Histories replayed: at any time, for every aggregation, what was served then is what training computes for then,
//! whether events came with files, with pushes, before a restart or after it.

use arrow::{array::RecordBatch, compute::concat_batches};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::json;

use crate::{
    features_meter::{DAY, HOUR, MINUTE, Reading, START, label_rows, land, project, pushed, readings},
    features_rows::{Labels, assert_served_as_trained, built, compare, read_at, rfc3339, write_parquet},
    harness::Folder,
    serve_process::{Server, assert_quiet},
};

fn labels() -> Labels<'static> {
    Labels { keys: &["site", "device"], request: &["bound"], target: json!({"service": "meters"}) }
}

fn trained(folder: &Folder, rows: &RecordBatch) -> RecordBatch {
    write_parquet(&folder.path().join("labels.parquet"), rows);
    let dataset = built(folder, "readings");
    assert_eq!(dataset.num_rows(), rows.num_rows());
    dataset
}

/// Times from the newest event on: its own, just after it, at borders of hops, and long after.
fn times(newest: i64, dice: &mut SmallRng) -> Vec<i64> {
    let mut times =
        vec![newest, newest + 1, (newest / (5 * MINUTE) + 1) * 5 * MINUTE, (newest / DAY + 1) * DAY];
    for span in [10 * MINUTE, HOUR, 14 * HOUR, 16 * DAY, 60 * DAY] {
        times.push(newest + dice.random_range(0..span));
    }
    times
}

#[test]
fn files_are_served_as_they_are_trained() {
    for seed in 0..2 {
        let mut dice = SmallRng::seed_from_u64(seed);
        let folder = project();
        let mut from = START;
        for round in 0..3 {
            let span = [HOUR, 2 * DAY, 20 * DAY][dice.random_range(0..3)];
            let readings = readings(&mut dice, 80, from, span, true);
            land(&folder, &format!("{round}.parquet"), &readings);
            folder.stdout(&["run"]);
            let newest = readings.last().unwrap().at;
            let dataset = trained(&folder, &label_rows(&times(newest, &mut dice), &mut dice));
            folder.stdout(&["features", "materialize"]);
            let server = Server::start(&folder);
            let when = format!("seed {seed}, after file {round}");
            assert_served_as_trained(&server, &labels(), &dataset, &when);
            server.kill();
            let server = Server::start(&folder);
            assert_served_as_trained(&server, &labels(), &dataset, &format!("{when} and a restart"));
            server.stop();
            from = newest + 1;
        }
        assert_quiet(&folder);
    }
}

#[test]
fn pushes_are_served_as_they_are_trained() {
    for seed in 10..12 {
        let mut dice = SmallRng::seed_from_u64(seed);
        let folder = project();
        let first = readings(&mut dice, 60, START, 16 * DAY, true);
        land(&folder, "0.parquet", &first);
        folder.stdout(&["run"]);
        folder.stdout(&["features", "materialize"]);
        let mut server = Server::start(&folder);
        let (mut asked, mut served) = (Vec::new(), Vec::new());
        let mut from = first.last().unwrap().at + 1;
        for slice in 0..10 {
            let span = [20 * MINUTE, HOUR, DAY, 9 * DAY][dice.random_range(0..4)];
            let mut rows = readings(&mut dice, 8, from, span, false);
            let newest = rows.last().unwrap().at;
            rows.shuffle(&mut dice);
            push_all(&server, &rows, &mut dice);
            match slice {
                3 => {
                    server.kill();
                    server = Server::start(&folder);
                }
                5 => drop(server.post("/v1/features/materialize", &json!({})).good()),
                7 => {
                    server.stop();
                    folder.stdout(&["features", "materialize"]);
                    server = Server::start(&folder);
                }
                _ => {}
            }
            let times: Vec<i64> = vec![newest, newest + 1, newest + dice.random_range(2..HOUR)];
            for at in &times {
                let rows = label_rows(&[*at], &mut dice);
                served.push((*at, read_at(&server, &labels(), &rows, *at)));
                asked.push(rows);
            }
            from = times.into_iter().max().unwrap() + 1;
        }
        server.stop();
        folder.stdout(&["features", "materialize"]);
        let rows = concat_batches(&asked[0].schema(), &asked).unwrap();
        let dataset = trained(&folder, &rows);
        let mut offset = 0;
        for (at, served) in served {
            let then = dataset.slice(offset, served.num_rows());
            compare(&labels(), &then, &served, &rfc3339(at), &format!("seed {seed}"));
            offset += served.num_rows();
        }
        assert_quiet(&folder);
    }
}

/// Pushes the rows in a few requests to every view that takes them as they are.
fn push_all(server: &Server, rows: &[Reading], dice: &mut SmallRng) {
    let mut rest = rows;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(dice.random_range(1..=rest.len()));
        for view in ["strict", "same"] {
            let answer = server.push(view, &pushed(now), "online_and_offline").good();
            assert_eq!(answer["rows"], now.len());
        }
        rest = later;
    }
}
