//! The shop's features, trained and served: its data comes month by month, and at the end of each month every feature
//! of the dataset is what the server answers.

use std::{fs, path::Path, sync::Arc};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    features_rows::{Labels, assert_served_as_trained, built, columns_json, instants, texts, write_parquet},
    harness::Folder,
    serve_process::{Server, assert_quiet},
};

const DAY: i64 = 86_400_000_000;
/// 2026-02-01, the end of the first month.
const FIRST_END: i64 = 1_769_904_000_000_000;
const MONTHS: [i64; 6] = [31, 28, 31, 30, 31, 30];
/// A number of no customer, larger than any customer's.
const NOBODY: i64 = 9_007_199_254_740_993;

const DATASET: &str = "labels: {file: labels.parquet, entity: customer, time: at}\n\
                       features: [orders.*, visits.*, profile.*, basket_vs_average]\n";

fn labels() -> Labels<'static> {
    Labels {
        keys: &["customer_id"],
        request: &["cart_value"],
        target: json!({"features": ["orders.*", "visits.*", "profile.*", "basket_vs_average"]}),
    }
}

/// Writes labels of all customers at `times`, and of one that nobody knows.
fn write_labels(folder: &Folder, times: &[i64], dice: &mut SmallRng) {
    let customers: Vec<i64> = (1..=125).chain([NOBODY]).collect();
    let rows = || times.iter().flat_map(|at| customers.iter().map(move |customer| (*customer, *at)));
    let customer: ArrayRef = Arc::new(rows().map(|(customer, _)| customer).collect::<Int64Array>());
    let at = instants(rows().map(|(_, at)| Some(at)));
    let mut carts: Vec<Option<f64>> = Vec::new();
    carts.resize_with(rows().count(), || {
        dice.random_bool(0.9).then(|| f64::from(dice.random_range(0..50_000)) / 100.0)
    });
    let cart: ArrayRef = Arc::new(Float64Array::from(carts));
    let rows = RecordBatch::try_from_iter([("customer_id", customer), ("at", at), ("cart_value", cart)]);
    write_parquet(&folder.path().join("labels.parquet"), &rows.unwrap());
}

/// The shop's project without any data, and the folder in which its data waits.
fn empty_shop() -> (Folder, Folder) {
    let source = Folder::empty();
    source.stdout(&["demo", "--once", "--rows", "3000", "--path", "."]);
    let shop = Folder::empty();
    for folder in ["sources", "tables", "features"] {
        copy(&source.path().join(folder), &shop.path().join(folder));
    }
    copy(&source.path().join("millstream.yaml"), &shop.path().join("millstream.yaml"));
    shop.write("datasets/all.yaml", DATASET);
    (shop, source)
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// The files of one month.
fn arrive(shop: &Folder, source: &Folder, month: usize) {
    for (folder, ending) in [("customers", "parquet"), ("orders", "csv"), ("events", "jsonl")] {
        let path = format!("data/{folder}/2026-{month:02}.{ending}");
        if source.path().join(&path).exists() {
            copy(&source.path().join(&path), &shop.path().join(&path));
        }
    }
}

#[test]
fn every_feature_of_the_shop_is_served_as_it_is_trained_month_by_month() {
    let (shop, source) = empty_shop();
    let mut dice = SmallRng::seed_from_u64(4);
    let mut end = FIRST_END;
    for month in 1..=MONTHS.len() {
        arrive(&shop, &source, month);
        shop.stdout(&["run", "--exclude", "view:*"]);
        // Windows slide on even for a customer from whom no more events come.
        let mut times = vec![end];
        times.extend((0..6).map(|_| end + dice.random_range(0..100 * DAY)));
        write_labels(&shop, &times, &mut dice);
        let dataset = built(&shop, "all");
        assert_eq!(dataset.num_rows(), 126 * times.len());
        let said = shop.stdout(&["features", "materialize", "--json"]);
        assert_modes(&said, month);
        let server = Server::start(&shop);
        let when = format!("after month {month}");
        let compared = assert_served_as_trained(&server, &labels(), &dataset, &when);
        assert_eq!(compared, 126 * times.len() * 19, "{when}");
        if month % 2 == 0 {
            server.stop();
        } else {
            server.kill();
        }
        let server = Server::start(&shop);
        assert_served_as_trained(&server, &labels(), &dataset, &format!("{when} and a restart"));
        drop(server);
        end += MONTHS.get(month).copied().unwrap_or(0) * DAY;
    }
    let dataset = built(&shop, "all");
    let said: Value =
        serde_json::from_str(&shop.stdout(&["features", "materialize", "--full", "--json"])).unwrap();
    assert!(said["views"].as_array().unwrap().iter().all(|view| view["mode"] == "full"), "{said}");
    let server = Server::start(&shop);
    assert_served_as_trained(&server, &labels(), &dataset, "computed anew");
    server.stop();
    assert_quiet(&shop);
}

/// Asserts how views were materialised: events only ever come, so the view of events goes on from what it has.
fn assert_modes(said: &str, month: usize) {
    let said: Value = serde_json::from_str(said).unwrap();
    let views = said["views"].as_array().unwrap();
    let mode = |name: &str| views.iter().find(|view| view["view"] == name).unwrap()["mode"].clone();
    assert_eq!(mode("visits"), if month == 1 { "full" } else { "incremental" }, "{said}");
}

#[test]
fn an_answer_is_the_same_in_json_in_arrow_and_in_the_words_of_feast() {
    let shop = Folder::empty();
    shop.stdout(&["demo", "--once", "--rows", "3000", "--path", "."]);
    shop.stdout(&["features", "materialize"]);
    let server = Server::start(&shop);
    let customers: Vec<i64> = (1..=125).chain([NOBODY]).collect();
    let entities = json!({"customer_id": customers});
    let at = "2026-07-02T00:00:00Z";
    let target = json!({"service": "churn_v1"});
    let arrow = server.read(&target, &entities, &json!({}), Some(at));
    let own = json!({"service": "churn_v1", "entities": entities, "at": at});
    let own = server.post("/v1/features/read", &own).good();
    assert_eq!(own["rows"], customers.len());
    let columns = own["columns"].as_object().unwrap();
    assert_eq!(columns.len() * 3, arrow.num_columns(), "a value, a status and a time for each feature");
    let mut present = 0;
    for (name, column) in columns {
        let values = columns_json(&arrow, &[name])[name].clone();
        for (row, (own, arrow)) in
            column["values"].as_array().unwrap().iter().zip(values.as_array().unwrap()).enumerate()
        {
            present += usize::from(!own.is_null());
            // Decimals are strings where they are exact.
            assert_eq!(plain(own), plain(arrow), "{name} of customer {}", customers[row]);
        }
        let statuses = texts(arrow.column_by_name(&format!("{name}__status")).unwrap());
        let statuses: Vec<&str> = statuses.iter().map(|status| status.as_deref().unwrap()).collect();
        assert_eq!(json!(statuses), column["statuses"], "{name}");
    }
    assert!(present > 1_000, "{present}");

    // Feast's API has no `at`, so both are asked for the present, long after the last event.
    let own = server.post("/v1/features/read", &json!({"service": "churn_v1", "entities": entities})).good();
    let feast = json!({"feature_service": "churn_v1", "entities": entities, "full_feature_names": true});
    let feast = server.post("/get-online-features", &feast).good();
    let names = feast["metadata"]["feature_names"].as_array().unwrap();
    assert_eq!(names[0], "customer_id");
    assert_eq!(feast["results"][0]["values"], json!(customers));
    for (name, result) in names.iter().zip(feast["results"].as_array().unwrap()).skip(1) {
        let name = name.as_str().unwrap().replace("__", ".");
        if name != "orders.seconds_since_order" {
            assert_eq!(result["values"], own["columns"][&name]["values"], "{name}");
        }
        let words = result["statuses"].as_array().unwrap().iter().map(|word| match word.as_str().unwrap() {
            "PRESENT" => "present",
            "NULL_VALUE" => "null",
            "NOT_FOUND" => "missing",
            "OUTSIDE_MAX_AGE" => "expired",
            other => panic!("{other}"),
        });
        assert_eq!(json!(words.collect::<Vec<_>>()), own["columns"][&name]["statuses"], "{name}");
    }
    server.stop();
    assert_quiet(&shop);
}

/// The value as a text that is the same for a decimal as a text and as a number.
fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse::<f64>().map_or(text, |number| number.to_string())
}
