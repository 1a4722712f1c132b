//! What a text file's columns look like from a sample.

use crate::folder::{Folder, discover, options};

async fn check(name: &str, content: &str, expected: &[&str]) {
    let folder = Folder::new();
    folder.write(name, content);
    let connector = folder.connector(&options(name));
    let part = &discover(&*connector, &[]).await.parts[0];
    let columns = connector.describe(part).await.unwrap();
    assert!(columns.iter().all(|column| !column.is_declared()));
    let columns: Vec<String> =
        columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect();
    assert_eq!(columns, expected, "{content}");
}

#[tokio::test]
async fn csv_columns_have_the_narrowest_type_that_fits() {
    check(
        "a.csv",
        "id,price,ok,day,at,zip,text,none,mixed\n\
         1,1.50,true,2026-01-31,2026-01-31T10:00:00Z,01234,x,,1\n\
         -2,2,FALSE,2026-02-01,2026-01-31 10:00:00.5,98765,7,,a\n\
         ,,,,,,,,\n",
        &[
            "id int64",
            "price float64",
            "ok bool",
            "day date",
            "at timestamp",
            "zip string",
            "text string",
            "none string",
            "mixed string",
        ],
    )
    .await;
    check("a.csv", "day\n2026-02-30\n", &["day string"]).await;
    check("a.csv", "b\n99999999999999999999\n1\n", &["b decimal(38,0)"]).await;
    check("a.csv", "m\n12345678901234567.89\n0.1\n", &["m decimal(38,2)"]).await;
    check("a.csv", "f\n0.1234567890123456\n1e300\n1.50\n", &["f float64"]).await;
    check("a.csv", "f\n0.123456789012345678\n1e3\n", &["f string"]).await;
    check("a.csv", "f\n1e400\n", &["f string"]).await;
    check("a.csv", "n\n-0\n", &["n float64"]).await;
    check("a.csv", "day\n0000-01-01\n", &["day string"]).await;
    check("a.csv", "x\nNaN\ninf\n", &["x string"]).await;
    check("a.csv", "a,b\n", &["a string", "b string"]).await;
    check("a.csv", "", &[]).await;
}

#[tokio::test]
async fn json_columns_may_be_nested() {
    check(
        "a.jsonl",
        "{\"id\":1,\"tags\":[\"x\"],\"to\":{\"city\":\"Ulm\",\"zip\":7},\"odd\":[1]}\n{\"id\":2,\"odd\":\"x\",\"late\":1.5}\n",
        &["id int64", "tags list<string>", "to struct<city: string, zip: int64>", "odd string", "late float64"],
    )
    .await;
    check("a.jsonl", "{\"v\":[1]}\n{\"v\":[2.5,null]}\n{\"v\":[]}\n", &["v list<float64>"]).await;
    check("a.jsonl", "{\"v\":{\"n\":12345678901234567891}}\n", &["v struct<n: decimal(38,0)>"]).await;
    check(
        "a.jsonl",
        "{\"v\":[{\"a\":true}]}\n{\"v\":[{\"b\":\"1\"}]}\n",
        &["v list<struct<a: bool, b: string>>"],
    )
    .await;
    check("a.jsonl", "{\"v\":[1,\"x\"]}\n", &["v list<string>"]).await;
    check("a.jsonl", "{\"v\":{\"a\":1,\"a\":\"x\"}}\n", &["v struct<a: string>"]).await;
    let keyed: String = (0..10_000).map(|key| format!("{{\"v\":{{\"k{key}\":1}}}}\n")).collect();
    check("a.jsonl", &keyed, &["v string"]).await;
    let deep = format!("v\n{}{}\n", "[".repeat(200_000), "]".repeat(200_000));
    check("a.csv", &deep, &["v string"]).await;
    check("a.jsonl", "{\"v\":[1,[1]]}\n", &["v string"]).await;
    check("a.jsonl", "{\"v\":[]}\n{\"w\":{}}\n", &["v string", "w string"]).await;
    check("a.jsonl", "{\"account\":\"12345678901234567891\"}\n", &["account decimal(38,0)"]).await;
}

#[tokio::test]
async fn a_sample_is_enough() {
    let rows: String = (0..200_000).map(|id| format!("{id},name {id}\n")).collect();
    check("a.csv", &format!("id,name\n{rows}"), &["id int64", "name string"]).await;
}
