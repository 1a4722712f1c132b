//! A project in which everything runs by itself, and files that come to it all the time.

use std::{fmt::Write, fs, time::Duration};

use arrow::{array::RecordBatch, compute::concat_batches};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::harness::Folder;

pub(crate) const STORM: &[(&str, &str)] = &[
    (
        "millstream.yaml",
        "name: storm\n\
         pools: {narrow: 1}\n\
         housekeeping: {schedule: every 1m, files: 1h, runs: 1d}\n\
         telemetry: {openlineage: {file: lineage.jsonl}}\n",
    ),
    (
        "sources/orders.yaml",
        "connector: {type: files, path: data/orders/*.csv}\n\
         schedule: every 1s\n\
         contract:\n\
        \x20 columns:\n\
        \x20   id: {type: int64, required: true, unique: true}\n\
        \x20   customer: {type: int64}\n\
        \x20   amount: {type: int64, range: [0, 1000]}\n\
        \x20   at: {type: timestamp}\n",
    ),
    (
        "sources/customers.yaml",
        "connector: {type: files, path: data/customers/*.csv}\n\
         schedule: {new_files: 1s}\n\
         landing: merge\n\
         contract: {key: id, columns: {id: {type: int64}, name: {type: string}}}\n",
    ),
    (
        "sources/prices.yaml",
        "connector: {type: files, path: data/prices/*.csv}\n\
         schedule: {webhook: prices, pools: narrow}\n\
         contract: {columns: {id: {type: int64}, price: {type: int64}}}\n",
    ),
    (
        "tables/silver/orders.sql",
        "/*---\nmaterialize: incremental\nkey: id\nchecks: [{range: {column: amount, max: 990}}]\n---*/\n\
         SELECT o.id, o.customer, o.amount, o.at, c.name\n\
         FROM bronze.orders o LEFT JOIN bronze.customers c ON c.id = o.customer\n",
    ),
    (
        "tables/silver/spent.sql",
        "/*---\nmaterialize: incremental\nkey: customer\nschedule: {pools: narrow}\n---*/\n\
         SELECT customer, count(*) AS orders, sum(amount) AS spent FROM bronze.orders GROUP BY customer\n",
    ),
    (
        "tables/silver/parts.sql",
        "/*---\npartition: {by: day, column: at}\nchecks: [{range: {column: amount, max: 980}}]\n---*/\n\
         SELECT id, at, amount FROM bronze.orders\n",
    ),
    (
        "tables/gold/totals.sql",
        "/*---\nschedule: {after: silver.spent}\n---*/\n\
         SELECT count(*) AS customers, sum(orders) AS orders, sum(spent) AS spent FROM silver.spent\n",
    ),
    (
        "tables/gold/priced.sql",
        "SELECT p.id, p.price, o.amount FROM bronze.prices p LEFT JOIN silver.orders o ON o.id = p.id\n",
    ),
    (
        "features/customer.yaml",
        "entity: {name: customer, key: customer}\n\
         views:\n\
        \x20 orders:\n\
        \x20   from: bronze.orders\n\
        \x20   time: at\n\
        \x20   features: {orders: {count: \"*\"}, spend: {sum: amount, default: 0}}\n\
         services: {desk: [orders.*]}\n",
    ),
    (
        "datasets/desk.yaml",
        "labels:\n\
        \x20 sql: \"SELECT id AS customer, TIMESTAMP '2026-03-01T00:00:00Z' AS at FROM bronze.customers ORDER BY id\"\n\
        \x20 entity: customer\n\
        \x20 time: at\n\
         features: desk\n\
         refresh: on_change\n",
    ),
];

/// Files of orders and customers that come one after the other.
pub(crate) struct Arrivals {
    dice: SmallRng,
    orders: u64,
    customers: u64,
}

impl Arrivals {
    /// The number of customers that there can be.
    pub(crate) const CUSTOMERS: u64 = 60;

    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: SmallRng::seed_from_u64(seed ^ 0xF11E5), orders: 0, customers: 0 }
    }

    /// How many files of orders came.
    pub(crate) fn count(&self) -> u64 {
        self.orders
    }

    pub(crate) fn pause(&mut self) -> Duration {
        Duration::from_millis(self.dice.random_range(5..250))
    }

    /// Lets one more file of orders come, and perhaps one of customers.
    pub(crate) fn arrive(&mut self, folder: &Folder) {
        self.orders += 1;
        let text = self.orders_text();
        put(folder, "data/orders", self.orders, &text);
        if self.customers == 0 || self.dice.random_bool(0.3) {
            self.customers += 1;
            let mut text = "id,name\n".to_owned();
            for _ in 0..self.dice.random_range(1..8) {
                let id = self.dice.random_range(1..=Self::CUSTOMERS);
                writeln!(text, "{id},n{}", self.customers).unwrap();
            }
            put(folder, "data/customers", self.customers, &text);
        }
    }

    /// Some rows, of which a few are too large for one contract or another, or repeat an id of this file or of an earlier one.
    fn orders_text(&mut self) -> String {
        let mut text = "id,customer,amount,at\n".to_owned();
        for row in 0..self.dice.random_range(1..40_u64) {
            let id = match self.dice.random_range(0..20) {
                0 => self.dice.random_range(1..=self.orders) * 100,
                _ => self.orders * 100 + row,
            };
            let customer = self.dice.random_range(1..=Self::CUSTOMERS);
            let amount = self.dice.random_range(0..1_040);
            let (day, second) = (self.dice.random_range(1..=31), row % 60);
            writeln!(text, "{id},{customer},{amount},2026-01-{day:02}T10:00:{second:02}Z").unwrap();
        }
        text
    }
}

/// Writes the file of prices of this number.
pub(crate) fn price(folder: &Folder, number: u64) {
    put(folder, "data/prices", number, &format!("id,price\n{number},{}\n", number * 7));
}

/// A file appears whole.
fn put(folder: &Folder, place: &str, number: u64, text: &str) {
    let unfinished = format!("{place}/{number:06}.unfinished");
    folder.write(&unfinished, text);
    let path = folder.path().join(place).join(format!("{number:06}.csv"));
    fs::rename(folder.path().join(unfinished), path).unwrap();
}

/// The rows of the newest version of the dataset.
pub(crate) fn file_of_dataset(folder: &Folder) -> RecordBatch {
    let datasets = folder.json(&["dataset", "list", "--json"]);
    let newest =
        datasets["datasets"].as_array().unwrap().iter().max_by_key(|built| built["version"].as_u64());
    let file = fs::File::open(newest.unwrap()["path"].as_str().unwrap()).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    let plain = std::sync::Arc::new(schema.as_ref().clone().with_metadata(Default::default()));
    let batches: Vec<_> =
        batches.into_iter().map(|batch| batch.with_schema(plain.clone()).unwrap()).collect();
    concat_batches(&plain, &batches).unwrap()
}
