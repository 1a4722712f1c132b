//! The smallest project with features: orders of a few customers, and what is known of them.

use serde_json::{Value, json};

use crate::harness::Folder;

/// Two customers that a float would take for one.
pub(crate) const ANN: i64 = 9_007_199_254_740_992;
pub(crate) const BOB: i64 = 9_007_199_254_740_993;
/// Somebody who never ordered.
pub(crate) const EVE: i64 = 9_007_199_254_740_994;

pub(crate) const FEATURES: &str = "\
entity: {name: customer, key: customer_id}
views:
  orders:
    from: bronze.orders
    time: at
    ttl: 2d
    features:
      orders:     {count: \"*\"}
      orders_1d:  {count: \"*\", window: 1d}
      spend:      {sum: amount, default: 0}
      average_1d: {mean: amount, window: 1d}
      paid_1d:    {count: \"*\", window: 1d, where: \"status = 'paid'\"}
      category:   {last: category}
      refunded:
        ratio: {numerator: {count: \"*\", where: \"status = 'refunded'\"}, denominator: {count: \"*\"}}
  latest:
    from: bronze.orders
    time: at
    include_same_instant: true
    features:
      orders: {count: \"*\"}
      status: {column: status}
request:
  cart: float64
on_demand:
  cart_share: \"cart / nullif(orders.average_1d, 0)\"
services:
  desk: [orders.*, latest.*, cart_share]
  plain: [orders.*, latest.*]
";

const SOURCE: &str = "\
connector: {type: files, path: data/orders/*.csv}
contract:
  columns:
    order_id: {type: int64}
    customer_id: {type: int64}
    amount: {type: \"decimal(12,2)\"}
    status: {type: string}
    category: {type: string}
    at: {type: timestamp}
";

const LABELS: &str = "\
connector: {type: files, path: data/labels/*.csv}
contract:
  columns:
    customer_id: {type: int64}
    at: {type: timestamp}
    cart: {type: float64}
    churned: {type: bool}
";

/// Two orders at the same instant, of which the one that came later is the newest.
pub(crate) const ORDERS: &str = "\
order_id,customer_id,amount,status,category,at
1,9007199254740992,10.00,paid,books,2026-01-01T00:00:00Z
2,9007199254740992,20.50,paid,toys,2026-01-01T12:00:00Z
3,9007199254740993,7.00,refunded,,2026-01-01T06:00:00Z
4,9007199254740992,30.00,refunded,books,2026-01-02T00:00:00Z
5,9007199254740992,40.00,paid,games,2026-01-02T00:00:00Z
";

const NAMES: [(&str, i64); 3] = [("ann", ANN), ("bob", BOB), ("eve", EVE)];

/// The project with its orders landed, and these lines of labels: `ann 2026-01-02T00:00:00Z 15 true`.
pub(crate) fn desk(labels: &str) -> Folder {
    let folder = Folder::with(&[
        ("millstream.yaml", "name: desk\n"),
        ("sources/orders.yaml", SOURCE),
        ("sources/labels.yaml", LABELS),
        ("features/customer.yaml", FEATURES),
        (
            "datasets/desk.yaml",
            "labels: {from: bronze.labels, entity: customer, time: at, columns: [cart, churned]}\nfeatures: desk\n",
        ),
        ("data/orders/1.csv", ORDERS),
    ]);
    write_labels(&folder, "1", labels);
    folder.stdout(&["run", "--exclude", "view:*"]);
    folder
}

pub(crate) fn write_labels(folder: &Folder, file: &str, labels: &str) {
    let mut text = "customer_id,at,cart,churned\n".to_owned();
    for line in labels.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let cell = |at: usize| match words.get(at).copied() {
            None | Some("-") => String::new(),
            Some(word) => customer(word).map_or_else(|| word.to_owned(), |number| number.to_string()),
        };
        text.push_str(&format!("{},{},{},{}\n", cell(0), cell(1), cell(2), cell(3)));
    }
    folder.write(&format!("data/labels/{file}.csv"), &text);
}

fn customer(name: &str) -> Option<i64> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// One order as a push to the view takes it.
pub(crate) fn order(view: &str, customer: i64, at: &str, amount: &str, status: &str) -> Value {
    let mut row = json!({"customer_id": [customer], "at": [at], "status": [status]});
    if view == "orders" {
        row["amount"] = json!([amount]);
        row["category"] = json!(["pushed"]);
    }
    row
}
