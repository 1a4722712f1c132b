//! Features at the room's boundary: files of a project in, definitions, diagnostics and rows out.

mod datasets;
mod definitions;
mod diagnostics;
mod on_demand;
mod push;
mod rows;
mod services;

use std::{collections::BTreeSet, fmt::Write as _, fs};

use millstream_project::{Diagnostic, LoadOptions, ProjectSpec, load_project};
use millstream_sql::{
    Analysis, analyze,
    features::{FeaturesAnalysis, analyze_features},
};

/// A shop with tables to compute features from.
const FILES: [(&str, &str); 9] = [
    ("millstream.yaml", "name: shop\n"),
    (
        "sources/orders.yaml",
        "connector: {type: files, path: orders.csv}
contract:
  columns:
    order_id: {type: int64}
    customer_id: {type: int64}
    amount: {type: \"decimal(12,2)\"}
    quantity: {type: int32}
    status: {type: string}
    category: {type: string}
    embedding: {type: list<float32>}
    Gross-Total: {type: float64}
    ordered_at: {type: timestamp}
    paid_on: {type: date}
",
    ),
    (
        "sources/visits.yaml",
        "connector: {type: files, path: visits.csv}
contract:
  columns:
    customer_id: {type: int32}
    session: {type: string}
    shop_id: {type: string}
    at: {type: timestamp}
",
    ),
    (
        "sources/labels.yaml",
        "connector: {type: files, path: labels.csv}
contract:
  columns:
    customer_id: {type: int64}
    buyer: {type: int32}
    name: {type: string}
    as_of: {type: timestamp}
    churned: {type: bool}
    cart_value: {type: int64}
",
    ),
    ("tables/silver/orders.sql", "SELECT * FROM bronze.orders WHERE status <> 'test'"),
    ("tables/silver/visits.sql", "SELECT customer_id, session, at FROM bronze.visits"),
    ("tables/silver/shops.sql", "SELECT shop_id, customer_id, at FROM bronze.visits"),
    ("tables/silver/texts.sql", "SELECT cast(customer_id as string) AS customer_id, at FROM bronze.visits"),
    (
        "tables/gold/labels.sql",
        "SELECT customer_id, buyer, name, as_of, churned, cart_value FROM bronze.labels",
    ),
];

/// The design document's example.
const CUSTOMER: &str = "\
entity: {name: customer, key: customer_id}
views:
  orders:
    from: silver.orders
    time: ordered_at
    ttl: 90d
    features:
      order_count_7d: {count: \"*\", window: 7d}
      spend_30d:      {sum: amount, window: 30d}
      avg_basket_90d: {mean: amount, window: 90d, where: \"status = 'paid'\"}
      last_category:  {last: category}
on_demand:
  basket_vs_average: \"cart_value / nullif(orders.avg_basket_90d, 0)\"
services:
  churn_v1: [orders.order_count_7d, orders.spend_30d, basket_vs_average]
";

struct Shop {
    spec: ProjectSpec,
    analysis: Analysis,
    features: FeaturesAnalysis,
    /// The diagnostics of loading the files themselves.
    loaded: Vec<Diagnostic>,
}

fn shop(files: &[(&str, &str)]) -> Shop {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in FILES.iter().chain(files) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let loaded = load_project(folder.path(), &LoadOptions { environment: None, variables: &|_| None });
    let spec = loaded.spec.unwrap();
    let analysis = analyze(&spec.sources, &spec.tables);
    assert!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics);
    let features = analyze_features(&spec, &analysis, &BTreeSet::new());
    Shop { spec, analysis, features, loaded: loaded.diagnostics }
}

/// The shop with one file of features, in which nothing is wrong.
fn customer(text: &str) -> Shop {
    let shop = shop(&[("features/customer.yaml", text)]);
    assert_eq!(shop.problems(), "");
    shop
}

/// Features of a view over `silver.orders`, indented by six spaces.
fn view(features: &str) -> String {
    format!(
        "entity: {{name: customer, key: customer_id}}\nviews:\n  orders:\n    from: silver.orders\n    time: ordered_at\n    features:\n{features}"
    )
}

impl Shop {
    /// The problems as text, each as `path:line:column underlined code message [label] (hint)`.
    fn problems(&self) -> String {
        let mut text = String::new();
        for diagnostic in self.loaded.iter().chain(&self.features.diagnostics) {
            let at = diagnostic.at.unwrap();
            let file = self.spec.files.get(at.file).unwrap();
            let (line, column) = file.line_column(at.start);
            let underlined = file.text[at.start..at.end].lines().next().unwrap_or_default();
            write!(text, "{}:{line}:{column} `{underlined}`", file.path.display()).unwrap();
            write!(text, "\n  {} {}", diagnostic.code, diagnostic.message).unwrap();
            if let Some(label) = &diagnostic.label {
                write!(text, " [{label}]").unwrap();
            }
            if let Some(hint) = &diagnostic.hint {
                write!(text, "\n  hint: {hint}").unwrap();
            }
            text.push('\n');
        }
        text
    }
}
