//! Failures as they are told of statements over personal data.

use std::sync::Arc;

use datafusion::{common::DataFusionError, parquet::errors::ParquetError};
use millstream_lake::{DamagedFile, FileDamage, LakeError, StorageFault};
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
fn a_damaged_file_is_found_behind_whatever_passed_it_on() {
    let damaged = |table: &str, damage: FileDamage| DamagedFile {
        table: table.parse().unwrap(),
        path: "1.parquet".to_owned(),
        place: "/lake/1.parquet".to_owned(),
        damage,
    };
    let anew =
        "bring it back from a backup, or make its table anew with `millstream run --full-refresh silver.e`";
    let again = "bring it back from a backup, or land its source again with `millstream run --full-refresh source:orders`";
    let cut = FileDamage::Resized { written: 9, found: 3 };
    let garbage = FileDamage::Unreadable { because: "Corrupt footer".to_owned() };
    for (file, expected, hint, retryable) in [
        (
            damaged("silver.e", cut),
            "the data file `/lake/1.parquet` of `silver.e` is damaged: it has 3 bytes, and 9 were written",
            anew,
            false,
        ),
        (
            damaged("bronze.orders", garbage),
            "the data file `/lake/1.parquet` of `bronze.orders` is damaged: Corrupt footer",
            again,
            false,
        ),
        (
            damaged("silver.e", FileDamage::Gone),
            "the data file `/lake/1.parquet` of `silver.e` is gone",
            anew,
            true,
        ),
    ] {
        let fault = || DataFusionError::External(Box::new(LakeError::DataFile(file.clone())));
        let shared = || DataFusionError::Shared(Arc::new(fault()));
        let ways = [
            fault(),
            shared(),
            shared().context("joining"),
            DataFusionError::Collection(vec![DataFusionError::Execution("x".to_owned()), shared()]),
            DataFusionError::External(Box::new(std::io::Error::other(fault()))),
            DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(fault())))),
            DataFusionError::External(Box::new(SqlError::lake(LakeError::DataFile(file.clone())))),
        ];
        for error in ways {
            let told = format!("{error:?}");
            let error = SqlError::from_datafusion(error);
            let found = DamagedFile::behind(&error).unwrap_or_else(|| panic!("{told}"));
            assert_eq!((found, found.to_string().as_str()), (&file, expected));
            assert_eq!((error.hint().as_deref(), error.retryable()), (Some(hint), retryable), "{told}");
            assert_eq!(error.code(), "MS-0417");
        }
    }
}

#[test]
fn a_store_that_is_away_stays_so_where_several_readers_share_the_error() {
    let away = LakeError::Storage {
        action: "read",
        path: "1.parquet".to_owned(),
        fault: StorageFault::Unavailable,
        source: "no route".into(),
    };
    let shared = Arc::new(DataFusionError::External(Box::new(away)));
    let error = SqlError::from_datafusion(DataFusionError::Shared(shared.clone()));
    assert!(error.retryable() && DamagedFile::behind(&error).is_none(), "{error:?}");
    assert_eq!(error.code(), "MS-0402");
}
