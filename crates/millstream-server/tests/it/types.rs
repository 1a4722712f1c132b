//! JSON into typed columns and back: exact where a value fits, refused with column, row and both types where not.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::{
    client::{options, start},
    random::Random,
};

/// Column, values of a request, values of the answer.
const EXACT: &[(&str, &str, &str)] = &[
    ("bool", "[true, false, null]", "[true,false,null]"),
    ("int8", "[-128, 127, 3.0, null]", "[-128,127,3,null]"),
    (
        "int64",
        "[9007199254740993, -9223372036854775808, 9223372036854775807]",
        "[9007199254740993,-9223372036854775808,9223372036854775807]",
    ),
    ("int64", "[1e3, -0, -0.0, 9007199254740992.0]", "[1000,0,0,9007199254740992]"),
    ("uint64", "[18446744073709551615]", "[18446744073709551615]"),
    ("float32", "[0.1, 1e38, 16777217]", "[0.1,1e+38,16777216.0]"),
    ("float64", "[0.1, -1e308, 5e-324, 3, -0.0]", "[0.1,-1e+308,5e-324,3.0,-0.0]"),
    (
        "decimal",
        "[12.30, \"12.3\", \"-0.01\", 7, 9999999999.99, 1.500, null]",
        r#"["12.30","12.30","-0.01","7.00","9999999999.99","1.50",null]"#,
    ),
    ("string", r#"["", "a\"b\\\n\u0000\ud83d\ude00é"]"#, r#"["","a\"b\\\n\u0000😀é"]"#),
    (
        "view_string",
        r#"["a string that is longer than twelve bytes", null]"#,
        r#"["a string that is longer than twelve bytes",null]"#,
    ),
    ("binary", r#"["", "AA==", "AAE=", "AAEC", "+/+/"]"#, r#"["","AA==","AAE=","AAEC","+/+/"]"#),
    (
        "date",
        r#"["2024-02-29", "1969-12-31", "0001-01-01", "9999-12-31"]"#,
        r#"["2024-02-29","1969-12-31","0001-01-01","9999-12-31"]"#,
    ),
    (
        "timestamp",
        r#"["2026-11-01T00:00:00Z", "2026-11-01T01:00:00.5+01:00", "1969-12-31T23:59:59.999999Z", "2026-11-01 00:00:00", "2026-11-01"]"#,
        r#"["2026-11-01T00:00:00Z","2026-11-01T00:00:00.500Z","1969-12-31T23:59:59.999999Z","2026-11-01T00:00:00Z","2026-11-01T00:00:00Z"]"#,
    ),
    (
        "timestamp",
        "[0, 1793491200, 1793491200.25, -1.5, 1793491200.123456789]",
        r#"["1970-01-01T00:00:00Z","2026-11-01T00:00:00Z","2026-11-01T00:00:00.250Z","1969-12-31T23:59:58.500Z","2026-11-01T00:00:00.123456Z"]"#,
    ),
    ("naive", r#"["2026-11-01T00:00:00.123Z"]"#, r#"["2026-11-01T00:00:00.123Z"]"#),
    ("list", "[[1, null, 3], [], null, [ 4 ]]", "[[1,null,3],[],null,[4]]"),
    ("vector", "[[1, 2.5, null], null]", "[[1.0,2.5,null],null]"),
    (
        "place",
        r#"[{"city": "Bonn", "zip": 53111}, {"zip": 1}, {}, null]"#,
        r#"[{"city":"Bonn","zip":53111},{"city":null,"zip":1},{"city":null,"zip":null},null]"#,
    ),
    ("category", r#"["a", "b", "a", null]"#, r#"["a","b","a",null]"#),
    ("time", r#"["12:30:00"]"#, r#"["12:30:00"]"#),
];

#[tokio::test]
async fn values_that_fit_keep_every_digit() {
    let server = start(options()).await;
    for (column, sent, expected) in EXACT {
        let body = format!(
            r#"{{"features": ["echo.{column}"], "request": {{"{column}": {sent}}}, "metadata": "none"}}"#
        );
        let answer = server.post("/v1/features/read", &body).await;
        let rows = serde_json::from_str::<Vec<serde_json::Value>>(sent).unwrap().len();
        let expected = format!(r#"{{"rows":{rows},"columns":{{"echo.{column}":{{"values":{expected}}}}}}}"#);
        assert_eq!(answer.text(), expected);
    }
}

const MISFITS: &[(&str, &str)] = &[
    ("bool", "[1]"),
    ("bool", r#"["true"]"#),
    ("int8", "[0, 128]"),
    ("int32", "[2147483648]"),
    ("int64", "[1.5]"),
    ("int64", "[9223372036854775808]"),
    ("int64", "[1e300]"),
    ("int64", "[1e400]"),
    ("int64", "[9007199254740994.0]"),
    ("int64", "[true]"),
    ("int64", "[[1]]"),
    ("uint64", "[-1]"),
    ("float32", "[1e39]"),
    ("float64", "[1e999]"),
    ("float64", r#"["NaN"]"#),
    ("decimal", "[1.234]"),
    ("decimal", "[99999999999]"),
    ("decimal", r#"["1,5"]"#),
    ("decimal", "[1e2]"),
    ("string", "[1]"),
    ("string", r#"["\ud800"]"#),
    ("string", r#"[{"a": "a very long object that nobody wants to read to its end"}]"#),
    ("binary", r#"["AB"]"#),
    ("binary", r#"["AB=="]"#),
    ("binary", r#"["A==="]"#),
    ("binary", r#"["AA=A"]"#),
    ("date", r#"["2023-02-29"]"#),
    ("date", r#"["2023-02-28T00:00:00Z"]"#),
    ("date", "[7]"),
    ("timestamp", r#"["today"]"#),
    ("timestamp", r#"["2026-13-01T00:00:00Z"]"#),
    ("timestamp", "[1793491200000]"),
    ("timestamp", "[true]"),
    ("list", "[[1], [2, \"x\"]]"),
    ("list", "[1]"),
    ("vector", "[[1, 2]]"),
    ("place", r#"[{"city": 7}]"#),
    ("place", r#"[{"town": "Bonn"}]"#),
    ("place", r#"[{"city": "a", "city": "b"}]"#),
    ("place", "[[]]"),
    ("category", "[1]"),
    ("time", r#"["12:30:00", "noon"]"#),
];

#[tokio::test]
async fn values_that_do_not_fit_are_refused_by_name_row_and_type() {
    let server = start(options()).await;
    let mut shown = String::new();
    for (column, sent) in MISFITS {
        let body = format!(r#"{{"features": ["echo.{column}"], "request": {{"{column}": {sent}}}}}"#);
        let answer = server.post("/v1/features/read", &body).await;
        let error = answer.json()["error"].clone();
        assert_eq!(answer.status, 422, "{column} {sent}: {}", answer.text());
        assert_eq!(error["field"], format!("request.{column}"));
        shown.push_str(&format!(
            "{} {}\n",
            error["code"].as_str().unwrap(),
            error["message"].as_str().unwrap()
        ));
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn random_values_come_back_as_they_were_sent() {
    let server = start(options()).await;
    let rounds: u64 = 30;
    for seed in 0..rounds {
        let mut random = Random(seed);
        let rows = random.below(50);
        let mut column = |value: &mut dyn FnMut(&mut Random) -> String| -> Vec<String> {
            (0..rows).map(|_| random.maybe(&mut *value).unwrap_or_else(|| "null".to_owned())).collect()
        };
        let integers = column(&mut |random| (random.next().cast_signed() >> random.below(64)).to_string());
        let floats = column(&mut |random| {
            let float = f64::from_bits(random.next());
            if float.is_finite() { format!("{float:e}") } else { "0.5".to_owned() }
        });
        let cents = column(&mut |random| {
            let cents = i64::try_from(random.below(1_000_000_000_000)).unwrap();
            format!(
                "\"{}{}.{:02}\"",
                if random.below(2) == 0 { "-" } else { "" },
                cents / 100 + 1,
                cents % 100
            )
        });
        let texts = column(&mut |random| {
            let text: String = (0..random.below(20))
                .filter_map(|_| char::from_u32(u32::try_from(random.below(0x800)).unwrap()))
                .collect();
            serde_json::to_string(&text).unwrap()
        });
        let sent = [("int64", &integers), ("float64", &floats), ("decimal", &cents), ("string", &texts)];
        let request = sent.map(|(name, values)| format!(r#""{name}": [{}]"#, values.join(", "))).join(", ");
        let body = format!(
            r#"{{"features": ["echo.int64", "echo.float64", "echo.decimal", "echo.string"], "request": {{{request}}}}}"#
        );
        let answer = server.post("/v1/features/read", &body).await;
        let answer: Answered<'_> = serde_json::from_slice(&answer.body).unwrap();
        for (name, values) in sent {
            let column = &answer.columns[&format!("echo.{name}")];
            let found: Vec<&str> = column.values.iter().map(|value| value.get()).collect();
            if name == "float64" {
                let bits = |text: &str| text.parse::<f64>().ok().map(f64::to_bits);
                let sent: Vec<_> = values.iter().map(|text| bits(text)).collect();
                assert_eq!(found.into_iter().map(bits).collect::<Vec<_>>(), sent);
            } else {
                assert_eq!(found, *values, "{name}");
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Answered<'a> {
    #[serde(borrow)]
    columns: HashMap<String, AnsweredColumn<'a>>,
}

#[derive(serde::Deserialize)]
struct AnsweredColumn<'a> {
    #[serde(borrow)]
    values: Vec<&'a RawValue>,
}

#[tokio::test]
async fn lists_together_are_bounded() {
    let server = start(options()).await;
    let list = format!("[{}1]", "1,".repeat(2_100_000));
    let body = format!(r#"{{"features": ["echo.list"], "request": {{"list": [{list}, {list}]}}}}"#);
    let answer = server.post("/v1/features/read", &body).await;
    let message = "`request.list` row 1 (from 0): expected list<int64>, found more than 4000000 values in the \
                   column's lists";
    assert_eq!(answer.json()["error"]["message"], message);
}
