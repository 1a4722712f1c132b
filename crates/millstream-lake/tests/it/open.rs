//! Opening a lake: addresses, options, secrets.

use std::collections::BTreeMap;

use millstream_lake::Lake;

fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn addresses_are_checked_without_network() {
    let check = |location: &str, pairs: &[(&str, &str)], expected: Result<(), &str>| {
        let opened = Lake::open(location, &options(pairs)).map(|_| ()).map_err(|error| error.to_string());
        match (opened, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{location}: {error}"),
            (opened, _) => panic!("{location}: {opened:?}"),
        }
    };
    check("/tmp/lake", &[], Ok(()));
    check("lake", &[], Err("a folder has to be absolute"));
    check("/tmp/lake", &[("aws_region", "x")], Err("no storage option `aws_region`"));
    check("s3://bucket/lake", &[("aws_region", "eu-west-1")], Ok(()));
    check("s3://bucket", &[("aws_allow_http", "true"), ("aws_endpoint", "http://localhost:1")], Ok(()));
    check("s3://bucket/lake", &[("aws_regoin", "x")], Err("unknown storage option `aws_regoin`"));
    check("gs://bucket/lake", &[], Ok(()));
    check("az://container/lake", &[("azure_storage_account_name", "acme")], Ok(()));
    check("ftp://host/lake", &[], Err("`ftp` is not a kind of store"));
    check("s3://", &[], Err(""));
}

#[test]
fn secrets_do_not_show() {
    let secret = options(&[("aws_access_key_id", "visible"), ("aws_secret_access_key", "hunter2")]);
    let lake = Lake::open("s3://bucket/lake", &secret).unwrap();
    let shown = format!("{lake:?}");
    assert!(
        shown.contains("s3://bucket/lake/") && !shown.contains("hunter2") && !shown.contains("visible"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_lake_may_be_dropped_inside_a_runtime() {
    drop(Lake::open("s3://bucket/lake", &BTreeMap::new()).unwrap());
}
