//! Failures as they are told of statements over personal data.

use datafusion::{common::DataFusionError, parquet::errors::ParquetError};
use millstream_sql::SqlError;

#[test]
fn only_the_kind_of_a_failure_and_the_feature_are_kept() {
    for (message, expected) in [
        ("Cannot cast string 'ann: bob' to value of Int32 type", "a value cannot be cast: ***"),
        (
            "`d` of row 3 (from 0): Can't cast value 12345678 to type Int8",
            "`d` of row 3 (from 0): a value cannot be cast: ***",
        ),
        ("`d`: Overflow happened on: 5 + 9223372036854775807", "`d`: Overflow happened on ***"),
        ("`ann bob`: no number", "a value cannot be computed: ***"),
        ("`d` of ann: no number", "a value cannot be computed: ***"),
        ("Divide by zero error", "Divide by zero"),
        ("Error parsing timestamp from 'ann'", "a value cannot be computed: ***"),
    ] {
        let error = SqlError::Execution { message: message.into() }.without_values();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_damaged_file_is_told_with_its_table_and_a_way_out() {
    let file = "nowhere/lake/silver/e/1.parquet";
    let fetching = format!("Failed to fetch metadata for file {file}: ");
    let damaged = |why: &str| format!("the data file `{file}` of `silver.e` is damaged: {why}");
    let anew =
        "bring it back from a backup, or make its table anew with `millstream run --full-refresh silver.e`";
    for (words, expected, hint, retryable) in [
        (
            format!(
                "{fetching}Object Store error: Generic LocalFileSystem error: Out of range of file {file}, expected: 5, \
                 actual: 5"
            ),
            damaged("it does not hold what its table says"),
            Some(anew),
            false,
        ),
        (
            format!("{fetching}Parquet error: Parquet error: Invalid Parquet file. Corrupt footer"),
            damaged("Invalid Parquet file. Corrupt footer"),
            Some(anew),
            false,
        ),
        (
            "Parquet error: Invalid Parquet file. Corrupt footer in nowhere/bronze/orders/day=2026-03-01/1.parquet"
                .to_owned(),
            "the data file `nowhere/bronze/orders/day=2026-03-01/1.parquet` of `bronze.orders` is damaged: Invalid Parquet \
             file. Corrupt footer in nowhere/bronze/orders/day=2026-03-01/1.parquet"
                .to_owned(),
            Some(
                "bring it back from a backup, or land its source again with `millstream run --full-refresh source:orders`",
            ),
            false,
        ),
        (
            format!("{fetching}Object Store error: Object at location /tmp/{file} not found: No such file (os error 2)"),
            format!("the data file `/tmp/{file}` is gone"),
            Some(anew),
            true,
        ),
        (
            format!("{fetching}Object Store error: Generic S3 error: the server is busy"),
            "a table cannot be read".to_owned(),
            None,
            true,
        ),
    ] {
        let error = DataFusionError::ParquetError(Box::new(ParquetError::General(words)));
        let error = SqlError::from_datafusion(error);
        assert_eq!(error.to_string(), expected);
        assert_eq!((error.hint().as_deref(), error.retryable()), (hint, retryable), "{expected}");
        assert_eq!(error.code(), "MS-0224");
    }
}
