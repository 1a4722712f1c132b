//! `features/` and `datasets/`: what correct files mean, and what is said about each mistake.

use insta::{assert_debug_snapshot, assert_snapshot};
use millstream_project::{
    AsKnown, DatasetFeatures, FeatureRef, FeatureValue, LabelOrigin, Loaded, OutputFormat, SplitBy,
};
use millstream_types::{Aggregation, TimestampMicros};

use crate::scratch::{PROJECT, load, render};

const TABLE: (&str, &str) = ("tables/silver/orders.sql", "SELECT 1");
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
const CHURN: &str = "\
labels: {from: silver.orders, entity: customer, time: as_of, columns: [churned]}
features: churn_v1
split: {by: time, train: 70%, validation: 15%, test: 15%}
";

fn features(text: &str) -> Loaded {
    load(&[PROJECT, TABLE, ("features/customer.yaml", text)])
}

fn dataset(text: &str) -> Loaded {
    load(&[PROJECT, TABLE, ("features/customer.yaml", CUSTOMER), ("datasets/churn.yaml", text)])
}

/// A view with these features, indented by six spaces.
fn view(text: &str) -> String {
    let head = "entity: {name: customer, key: customer_id}\nviews:\n  orders:\n    from: silver.orders\n    time: at\n";
    render(&features(&format!("{head}    features:\n{text}")))
}

#[test]
fn a_project_without_the_folders_has_none() {
    let spec = load(&[PROJECT]).spec.unwrap();
    assert!(spec.features.views.is_empty() && spec.datasets.is_empty());
}

#[test]
fn the_design_document_s_features_and_dataset_load() {
    let loaded = dataset(CHURN);
    assert_eq!(render(&loaded), "");
    let spec = loaded.spec.unwrap();
    let entity = spec.features.entity("customer").unwrap();
    assert_eq!(entity.keys[0].value, "customer_id");
    let view = spec.features.view("orders").unwrap();
    assert_eq!((view.from.to_string(), view.entity.to_string()), ("silver.orders".into(), "customer".into()));
    assert_eq!(view.ttl, Some("90d".parse().unwrap()));
    assert!(!view.include_same_instant);
    let FeatureValue::Aggregate(count) = &view.features[0].value else { panic!() };
    assert_eq!((&count.kind, count.input.is_none()), (&Aggregation::Count, true));
    assert_eq!(view.features[2].filter.as_ref().unwrap().value, "status = 'paid'");
    assert_eq!(view.features[3].window, None);
    let service = spec.features.service("churn_v1").unwrap();
    assert_eq!(service.features[2].value, FeatureRef::OnDemand { name: "basket_vs_average".into() });
    let dataset = &spec.datasets[0];
    assert_eq!(dataset.name, "churn");
    assert!(
        matches!(&dataset.labels.origin, LabelOrigin::Table(name) if name.to_string() == "silver.orders")
    );
    assert!(matches!(&dataset.features, DatasetFeatures::Service(name) if name.value == "churn_v1"));
    let split = dataset.split.as_ref().unwrap();
    assert_eq!((split.by, split.train.fraction()), (SplitBy::Time, 0.7));
}

#[test]
fn every_aggregation_has_its_key() {
    let text = "      a: {count: name}
      b: {count_if: \"amount > 5\", window: 5m}
      c: {min: amount}
      d: {max: {column: amount}}
      e: {first: amount}
      f: {first_k: {column: amount, k: 3}}
      g: {last_k: {column: amount, k: 3}}
      h: {variance: amount}
      i: {stddev: amount}
      j: {skewness: amount}
      k: {kurtosis: amount}
      l: {approx_distinct: name}
      m: {distinct: name}
      n: {distinct: {column: name, bound: 5}}
      o: {quantile: {column: amount, quantile: 0.5}}
      p: {top_k: {column: amount, k: 10000}}
      q: {most_frequent: name}
      r: {histogram: {column: amount, edges: [0, 1.5, 100]}}
      s: {ratio: {numerator: {sum: amount, where: paid}, denominator: {count: \"*\"}}, window: 2w}
      t: {rate: {per: 1h}}
      u: {rate: {column: amount, per: 1d}}
      v: {trend: {column: amount, per: 1d}}
      w: {time_since_last: \"*\"}
      x: {decayed_sum: {column: amount, half_life: 7d}}
      y: {decayed_mean: {column: amount, half_life: 1m}}
      z: {vector_sum: embedding}
      za: {vector_mean: embedding, default: 0.5, description: d, owner: o, tags: [t]}
      zb: {column: name, default: unknown}
      zc: {change: {sum: amount, where: paid}, window: 7d}
      zd: {ratio: {numerator: {sum: amount}, denominator: {sum: amount, window: 30d}}, window: 1d}
";
    assert_eq!(view(text), "");
    let head = "entity: {name: c, key: [a, b]}\nviews:\n  v:\n    from: silver.orders\n    time: at\n    features:\n";
    let spec = features(&format!("{head}{text}")).spec.unwrap();
    let kinds: Vec<_> = spec.features.views[0]
        .features
        .iter()
        .map(|feature| match &feature.value {
            FeatureValue::Aggregate(one) => {
                format!(
                    "{} {:?} of {:?}",
                    feature.name,
                    one.kind,
                    one.input.as_ref().map(|input| &input.value)
                )
            }
            FeatureValue::Column(column) => format!("{} column {column}", feature.name),
            FeatureValue::Ratio { numerator, denominator, against } => {
                format!("{} {:?} by {:?}, {against:?}", feature.name, numerator.kind, denominator.kind)
            }
            FeatureValue::Change(one) => format!("{} change of {:?}", feature.name, one.kind),
        })
        .collect();
    assert_debug_snapshot!(kinds);
}

#[test]
fn malformed_features_are_all_reported() {
    assert_snapshot!(view(
        "      a: {summ: amount}
      b: {sum: amount, mean: amount}
      c: {window: 7d}
      d: amount
      e: {sum: \"*\"}
      f: {sum: amount, window: 1m}
      g: {column: amount, window: 1h}
      h: {first_k: {column: amount, k: 0}}
      i: {quantile: {column: amount, quantile: 50}}
      j: {histogram: {column: amount, edges: [2, 1]}}
      k: {rate: amount}
      l: {decayed_sum: {column: amount, half_life: 5s}}
      m: {ratio: {numerator: {column: a}, denominator: {count: \"*\", windw: 1h}}}
      n: {sum: amount, where: \"\"}
      O: {sum: amount, window: soon}
      p: {sum: 5, windo: 1h}
      q: {change: {sum: amount}}
      r: {change: {mean: amount}, window: 1d}
      s: {ratio: {numerator: {sum: a, window: 1d}, denominator: {sum: a, window: 1m}}, window: 1h}
"
    ));
}

#[test]
fn malformed_files_are_all_reported() {
    let cases = [
        "views:\n  orders: {from: silver.orders, time: at, features: {a: {sum: b}}}\n",
        "entity: customer\nviews:\n  orders: {from: silver.orders, time: at, features: {a: {sum: b}}}\n",
        "entity: {name: Customer, key: []}\n",
        "entity: {name: customer, key: [a, a]}\n",
        "entity: [customer]\n",
        "entity: {name: customer}\nservices: {a: [orders.x]}\n",
        "entity: {name: customer, key: id}\nviews:\n  orders: {from: orders, tim: at, features: {}}\n  Orders: 5\n",
        "entity: {name: customer, key: id}\nviews:\n  orders: {from: silver.order, time: at, sql: '', features: {}}\n",
        "entity: {name: customer, key: id}\nviews:\n  orders: {from: silver.ordrs, time: at, features: {a: {sum: b}}}\n",
        "on_demand: {a: '', b: {sq: x}, c: [1], C: '1'}\n",
        "on_demand: {a: x}\nrequest: {a: float64, b: number, C: string, d: [string], e: string}\n",
        "service: {}\nservices: {a: [], b: orders, c: [a.b.c, '*.x', '*'], d: [x, x]}\n",
    ];
    let text: String = cases.iter().map(|case| format!("{case}{}\n", render(&features(case)))).collect();
    assert_snapshot!(text);
}

#[test]
fn services_name_what_exists() {
    let services = "  a: [orders.spend_30, order.*, basket, orders.*]\n";
    assert_snapshot!(render(&features(&format!("{CUSTOMER}{services}"))));
    // What is faulty is not unknown as well.
    let faulty = "entity: {name: c, key: id}
views:
  good: {from: silver.orders, time: at, features: {x: {sum: 5}}}
  bad: {time: at, features: {x: {sum: a}}}
on_demand: {expression: 5}
services: {a: [good.x, bad.x, bad.*, expression]}
";
    let text = render(&features(faulty));
    assert!(!text.contains("MS-0195"), "{text}");
}

#[test]
fn request_values_have_the_types_of_contracts() {
    let request = "request:\n  cart_value: float64\n  country: string\n  at: timestamp(Europe/Berlin)\n";
    let spec = features(&format!("{CUSTOMER}{request}")).spec.unwrap();
    let request = spec.features.request.iter().map(|value| format!("{} {}", value.name, value.column_type));
    assert_eq!(
        request.collect::<Vec<_>>(),
        ["cart_value float64", "country string", "at timestamp(Europe/Berlin)"]
    );
    let twice =
        [PROJECT, ("features/a.yaml", "request: {a: string}"), ("features/b.yaml", "request: {a: bool}")];
    assert_snapshot!(
        render(&load(&twice)),
        @"features/b.yaml:1:11 `a` error MS-0142: a second request value with the name `a` [first given in `features/a.yaml`] (rename one of the two)"
    );
}

#[test]
fn wildcards_are_spelled_out_in_order_and_once() {
    let services = "  all: [orders.spend_30d, orders.*, basket_vs_average]\n";
    let spec = features(&format!("{CUSTOMER}{services}")).spec.unwrap();
    let list = spec.features.expand(&spec.features.service("all").unwrap().features);
    let names: Vec<_> = list
        .iter()
        .map(|one| match one {
            FeatureRef::Feature { feature, .. } => feature.as_str(),
            FeatureRef::OnDemand { name } | FeatureRef::View { view: name } => name,
        })
        .collect();
    let expected = ["spend_30d", "order_count_7d", "avg_basket_90d", "last_category", "basket_vs_average"];
    assert_eq!(names, expected);
}

#[test]
fn an_entity_may_come_from_another_file_and_names_are_given_once() {
    let other =
        "entity: customer\nviews:\n  visits: {from: silver.orders, time: at, features: {a: {sum: b}}}\n";
    let files = [PROJECT, TABLE, ("features/a.yaml", CUSTOMER), ("features/b.yaml", other)];
    assert_eq!(render(&load(&files)), "");
    let twice = [PROJECT, TABLE, ("features/a.yaml", CUSTOMER), ("features/b.yaml", CUSTOMER)];
    assert_snapshot!(render(&load(&twice)));
}

#[test]
fn a_dataset_has_every_option() {
    let text = "
description: d
owner: o
tags: [t]
labels:
  file: data/labels.csv
  entity: [customer]
  keys: {customer_id: buyer}
  time: at
features: [orders.*, basket_vs_average]
as_known: \"2026-01-31T00:00:00.5Z\"
split: {by: hash, train: 80%, test: 20%, seed: 7, entity: customer}
output: {path: out/churn, format: delta}
";
    let loaded = dataset(text);
    assert_eq!(render(&loaded), "");
    let spec = &loaded.spec.unwrap().datasets[0];
    assert_eq!(spec.labels.keys["customer_id"].value, "buyer");
    assert_eq!(spec.as_known.as_ref().unwrap().value, AsKnown::At(TimestampMicros(1_769_817_600_500_000)));
    let split = spec.split.as_ref().unwrap();
    assert_eq!((split.by, split.seed, split.entity.is_some()), (SplitBy::Hash, 7, true));
    assert_eq!(spec.output.as_ref().unwrap().format, OutputFormat::Delta);

    let known = |text: &str| {
        let loaded = dataset(&format!("{CHURN}as_known: {text}\nembargo: 1d\noutput: churn.parquet\n"));
        assert_eq!(render(&loaded), "");
        let spec = loaded.spec.unwrap().datasets.remove(0);
        assert_eq!(spec.output.unwrap().format, OutputFormat::Parquet);
        spec.as_known.map(|known| known.value)
    };
    assert_eq!(known("true"), Some(AsKnown::LabelTime));
    assert_eq!(known("false"), None);
    assert_eq!(known("known_at"), Some(AsKnown::Column("known_at".into())));
}

#[test]
fn malformed_datasets_are_all_reported() {
    let cases = [
        "features: churn_v1\n",
        "labels: {time: at}\nfeatures: churn_v2\n",
        "labels: {from: silver.orders, sql: SELECT 1, time: at}\nfeatures: [orders.*, orders.x]\n",
        "labels: {from: silver.ordrs, entity: customr, keys: {customer: id}, time: at, columns: [a, a]}\nfeatures: []\n",
        "labels: {sql: '', time: at}\nfeatures: churn_v1\nsplt: {}\n",
        "labels: {sql: SELECT 1, time: at}\nfeatures: churn_v1\nembargo: 1d\nsplit: {by: hash, train: 70%, test: 20%}\n",
        "labels: {sql: SELECT 1, time: at}\nfeatures: churn_v1\nsplit: {by: time, train: 100%, seed: 1, entity: customer}\n",
        "labels: {sql: SELECT 1, time: at}\nfeatures: churn_v1\nsplit: {by: date, train: 70}\n",
        "labels: {sql: SELECT 1, time: at}\nfeatures: churn_v1\nas_known: [a]\noutput: {pth: a}\n",
        "labels: {sql: SELECT 1, time: at}\nfeatures: churn_v1\nas_known: 2026-01-31\noutput: 5\n",
    ];
    let text: String = cases.iter().map(|case| format!("{case}{}\n", render(&dataset(case)))).collect();
    assert_snapshot!(text);
}
