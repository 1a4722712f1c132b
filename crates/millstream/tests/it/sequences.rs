//! Whatever happens to the files, step by step, the tables are those of a project that met the last files at once.

use std::{collections::BTreeMap, fmt::Write, fs};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::harness::{Folder, assert_same_tables};

const SEQUENCES: u64 = 16;
const STEPS: u32 = 8;

const PROJECT: &[(&str, &str)] = &[
    ("millstream.yaml", "name: sequences\n"),
    (
        "sources/sales.yaml",
        "connector: {type: files, path: data/sales/*.csv}\n\
         contract:\n\
        \x20 columns:\n\
        \x20   id: {type: int64, required: true, unique: true}\n\
        \x20   item: {type: string}\n\
        \x20   day: {type: date}\n\
        \x20   amount: {type: int64, range: [0, 1000]}\n",
    ),
    (
        "sources/items.yaml",
        "connector: {type: files, path: data/items/*.csv}\n\
         contract:\n\
        \x20 columns:\n\
        \x20   item: {type: string, required: true}\n\
        \x20   kind: {type: string, one_of: [a, b, c]}\n\
        \x20   price: {type: int64}\n",
    ),
    (
        "sources/prices.yaml",
        "connector: {type: files, path: data/prices/*.csv}\n\
         contract:\n\
        \x20 columns:\n\
        \x20   item: {type: string, required: true}\n\
        \x20   price: {type: int64}\n\
        \x20   at: {type: timestamp, required: true}\n",
    ),
    (
        "tables/silver/sales.sql",
        "/*---\nmaterialize: incremental\nchecks:\n  - range: {column: twice, max: 1500}\n---*/\n\
         SELECT id, item, day, amount * 2 AS twice FROM bronze.sales WHERE amount <> 7\n",
    ),
    (
        "tables/silver/items.sql",
        "/*---\nmaterialize: incremental\nkey: item\nchecks:\n  - range: {column: price, max: 50}\n---*/\n\
         SELECT item, max(kind) AS kind, max(price) AS price FROM bronze.items GROUP BY item\n",
    ),
    (
        "tables/silver/prices.sql",
        "/*---\nmaterialize: history\nkey: item\ntime: at\n---*/\nSELECT item, price, at FROM bronze.prices\n",
    ),
    (
        "tables/silver/priced.sql",
        "/*---\nmaterialize: incremental\nkey: id\nchecks:\n  - not_null: [price]\n  - range: {column: twice, min: 20}\n\
         ---*/\nSELECT s.id, s.twice, i.kind, i.price FROM silver.sales AS s LEFT JOIN silver.items AS i ON i.item = s.item\n",
    ),
    (
        "tables/gold/kinds.sql",
        "/*---\nmaterialize: incremental\nkey: kind\nchecks:\n  - range: {column: sales, max: 12}\n---*/\n\
         SELECT i.kind, count(*) AS sales, sum(s.twice * i.price) AS value, count(DISTINCT s.day) AS days\n\
         FROM silver.sales AS s JOIN silver.items AS i ON i.item = s.item GROUP BY i.kind\n",
    ),
    (
        "tables/gold/months.sql",
        "/*---\nmaterialize: incremental\ntime: day\npartition: month\nchecks:\n  - range: {column: sold, max: 3000}\n\
         ---*/\nSELECT day, item, sum(twice) AS sold FROM silver.sales GROUP BY day, item\n",
    ),
    (
        "tables/gold/ranks.sql",
        "/*---\nmaterialize: table\n---*/\nSELECT item, price, rank() OVER (ORDER BY price DESC) AS place FROM silver.items\n",
    ),
];

/// The texts of files, by path.
type Files = BTreeMap<String, String>;

#[test]
fn any_sequence_of_files_gives_the_tables_of_a_rebuild() {
    let sequences = |first: u64| (first..SEQUENCES).step_by(2).for_each(sequence);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| sequences(0));
        sequences(1);
        one.join().unwrap();
    });
}

fn sequence(seed: u64) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut files = Files::new();
    let folder = Folder::with(PROJECT);
    for number in 0..3 {
        // A source without any file is no failure, but what reads it cannot be built.
        for kind in ["sales", "items", "prices"] {
            let path = format!("data/{kind}/{number}.csv");
            let text = new_file(kind, number, &mut dice);
            folder.write(&path, &text);
            files.insert(path, text);
        }
    }
    let mut met = Files::new();
    run(&folder, &files, &mut met);
    let mut told = String::new();
    for step in 0..STEPS {
        for part in 0..dice.random_range(1..=3) {
            let what = change(&folder, &mut files, 3 + step * 3 + part, &mut dice);
            writeln!(told, "{step}: {what}").unwrap();
        }
        run(&folder, &files, &mut met);
        if dice.random_bool(0.1) {
            folder.stdout(&["maintain"]);
        }
    }
    let fresh = Folder::with(PROJECT);
    for (path, text) in &met {
        fresh.write(path, text);
    }
    fresh.stdout(&["run"]);
    let mut tables = folder.tables();
    tables.extend(fresh.tables());
    tables.sort();
    tables.dedup();
    assert_same_tables(&folder, &fresh, &tables, &format!("with seed {seed} after\n{told}"));
}

/// Runs, and notes the last text of every file that a run has met: a file that is removed later keeps its rows.
fn run(folder: &Folder, files: &Files, met: &mut Files) {
    folder.stdout(&["run"]);
    let there = files.iter().filter(|(path, _)| folder.path().join(path).exists());
    met.extend(there.map(|(path, text)| (path.clone(), text.clone())));
}

fn change(folder: &Folder, files: &mut Files, number: u32, dice: &mut SmallRng) -> String {
    let kind = ["sales", "items", "prices"][dice.random_range(0..3)];
    let of_kind: Vec<String> = files.keys().filter(|path| path.contains(kind)).cloned().collect();
    let path = of_kind[dice.random_range(0..of_kind.len())].clone();
    let what = match (dice.random_range(0..5), kind) {
        (0 | 1, _) | (2, "prices") => {
            let path = format!("data/{kind}/{number}.csv");
            let text = new_file(kind, number, dice);
            folder.write(&path, &text);
            files.insert(path.clone(), text);
            return format!("{path} comes");
        }
        (2, _) => {
            let first: u32 = path.split(['/', '.']).nth(2).unwrap().parse().unwrap();
            files.insert(path.clone(), new_file(kind, first, dice));
            "is replaced"
        }
        (3, _) => {
            let text = files.get_mut(&path).unwrap();
            text.push_str(new_file(kind, number, dice).split_once('\n').unwrap().1);
            "grows"
        }
        _ => {
            // The file may be gone already; a later change brings it back.
            let _ = fs::remove_file(folder.path().join(&path));
            return format!("{path} goes");
        }
    };
    folder.write(&path, &files[&path]);
    format!("{path} {what}")
}

/// The text of a file whose keys no other number has, so that the rows' fate does not depend on the order of arrival.
fn new_file(kind: &str, number: u32, dice: &mut SmallRng) -> String {
    let mut text = match kind {
        "sales" => "id,item,day,amount\n",
        "items" => "item,kind,price\n",
        _ => "item,price,at\n",
    }
    .to_owned();
    for row in 0..dice.random_range(0..12_u32) {
        let item =
            if dice.random_bool(0.1) { String::new() } else { format!("i{}", dice.random_range(0..8)) };
        match kind {
            "sales" => {
                // Now and then a key comes twice, a day is none, or an amount is out of range or has no day.
                let id = number * 100 + if dice.random_bool(0.1) { 0 } else { row };
                let day = dice.random_range(0..32);
                let day = if day == 31 {
                    String::new()
                } else {
                    format!("2026-0{}-{day:02}", dice.random_range(1..4))
                };
                writeln!(text, "{id},{item},{day},{}", dice.random_range(-20..1_050)).unwrap();
            }
            "items" => {
                let kind = ["a", "b", "c", "d"][dice.random_range(0..4)];
                writeln!(text, "{item},{kind},{}", dice.random_range(0..60)).unwrap();
            }
            _ => {
                let day = dice.random_range(1..=28);
                let (hour, minute) = (number / 60 + 10, number % 60);
                let price = dice.random_range(0..5);
                writeln!(text, "{item},{price},2026-01-{day:02} {hour}:{minute:02}:{row:02}").unwrap();
            }
        }
    }
    text
}
