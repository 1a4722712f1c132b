//! JSON into typed columns and back: exact where a value fits, refused with column, row and both types where not.

use crate::client::{options, start};

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
