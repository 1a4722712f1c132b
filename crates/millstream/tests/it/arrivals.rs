//! Files that come to a shop, the same for the same dice.
//!
//! What becomes of a row does not depend on how many of the files one run meets: keys stay in their file, and
//! changes of customers concern only those that were taken in before.

use std::{fmt::Write, fs};

use rand::{Rng, rngs::SmallRng};

use crate::harness::Folder;

/// Lets one to three things happen to the files of both folders.
pub(crate) fn arrive(folder: &Folder, twin: &Folder, round: u32, dice: &mut SmallRng) {
    for part in 0..dice.random_range(1..=3) {
        let number = round * 10 + part;
        let (path, text) = match dice.random_range(0..6) {
            0 | 1 => (format!("data/orders/n{number:04}.csv"), orders(number, dice)),
            2 => grown_events(folder, number),
            3 => replaced(folder, "orders", "csv", (",paid,", ",refunded,"), dice),
            4 => replaced(folder, "events", "jsonl", ("\"mobile\"", "\"desktop\""), dice),
            _ => {
                customers(folder, twin, number);
                continue;
            }
        };
        folder.write(&path, &text);
        twin.write(&path, &text);
    }
}

fn orders(number: u32, dice: &mut SmallRng) -> String {
    let mut text = "order_id,customer_id,category,quantity,amount,status,ordered_at\n".to_owned();
    for row in 0..dice.random_range(40..200_u32) {
        // In a hundred rows, one id comes twice, one amount is below zero, and one customer is known to nobody.
        let id = 1_000_000 + number * 1_000 + if row % 100 == 7 { row - 1 } else { row };
        let sign = if row % 100 == 57 { "-" } else { "" };
        let customer = if row % 100 == 27 { 900_000_000 } else { dice.random_range(1..700) };
        let (cents, day) = (dice.random_range(100..9_999), dice.random_range(1..=28));
        let status = ["paid", "pending", "test"][dice.random_range(0..3)];
        writeln!(
            text,
            "{id},{customer},toys,1,{sign}{cents}.00,{status},2026-07-{day:02} 10:00:{:02}",
            row % 60
        )
        .unwrap();
    }
    text
}

fn grown_events(folder: &Folder, number: u32) -> (String, String) {
    let path = "data/events/2026-06.jsonl".to_owned();
    let mut text = fs::read_to_string(folder.path().join(&path)).unwrap();
    for row in 0..40_u32 {
        let device = if row == 20 { "toaster" } else { "tablet" };
        writeln!(
            text,
            "{{\"event_id\":\"00000000-0000-4000-8000-{number:08}{row:04}\",\"session_id\":{number},\
             \"customer_id\":1,\"event_type\":\"purchase\",\"page\":\"/\",\"device\":\"{device}\",\
             \"occurred_at\":\"2026-06-30T10:00:00Z\"}}"
        )
        .unwrap();
    }
    (path, text)
}

/// Swaps two texts in a file, so that it has the same keys with other values. Gives the path and the new text.
fn replaced(
    folder: &Folder,
    kind: &str,
    ending: &str,
    (one, other): (&str, &str),
    dice: &mut SmallRng,
) -> (String, String) {
    let path = format!("data/{kind}/2026-0{}.{ending}", dice.random_range(1..=5));
    let text = fs::read_to_string(folder.path().join(&path)).unwrap();
    let changed = text.replace(one, "#").replace(other, one).replace('#', other);
    assert_ne!(text, changed);
    (path, changed)
}

/// Writes further states of customers, made from those that the twin took in; one in 37 is in no known segment.
fn customers(folder: &Folder, twin: &Folder, number: u32) {
    let days = 200 + number;
    let sql = format!(
        "SELECT customer_id, name, email, country, \
         CASE WHEN customer_id % 37 = 0 THEN 'nobody' ELSE segment END AS segment, birth_year, newsletter, \
         updated_at + INTERVAL '{days} days' AS updated_at \
         FROM bronze.customers WHERE updated_at < '2026-03-01' AND customer_id % 5 = {}",
        number % 5
    );
    let path = format!("data/customers/n{number:04}.parquet");
    let file = twin.path().join(&path);
    twin.stdout(&["query", &sql, "--output", file.to_str().unwrap()]);
    fs::copy(file, folder.path().join(path)).unwrap();
}
