//! Tables that other writers wrote or go on writing: what their logs say is taken as the protocol means it.

use std::{fs::File, sync::Arc};

use arrow::{
    datatypes::{DataType, Field, Schema},
    util::pretty::pretty_format_batches,
};
use datafusion::prelude::col;
use millstream_lake::{At, Lake, LakeTable, MaintainOptions, Operation, TableChange};
use millstream_types::TimestampMicros;
use object_store::{ObjectStoreExt, memory::InMemory};
use parquet::{
    data_type::{Int96, Int96Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};
use serde_json::{Value, json};

use crate::support::{
    actions, add, append, commit_file, definition, field, ids, ids_of, latest, local, metadata, open,
    overwrite, protocol, remove, runtime, session, table, table_folder, write_commit, written_at,
};

/// Writes `actions` as version 0.
fn create(folder: &tempfile::TempDir, actions: &[Value]) {
    write_commit(folder, 0, &[definition(), actions.to_vec()].concat());
}

#[tokio::test]
async fn a_path_that_is_added_again_keeps_its_rows_once() {
    let (folder, lake) = local();
    let (one, two) = (add(&folder, "one.parquet", &[1]), add(&folder, "two.parquet", &[2]));
    create(&folder, std::slice::from_ref(&one));
    // The writer of version 1 lost the answer, and wrote it once more.
    write_commit(&folder, 1, std::slice::from_ref(&two));
    assert_eq!(ids(&lake, At::Latest).await, [1, 2]);
    write_commit(&folder, 2, &[two.clone(), one.clone()]);
    write_commit(&folder, 3, &[remove(&one)]);
    write_commit(&folder, 4, &[remove(&one), one]);
    let check = |version, expected: &'static [i64]| {
        let lakes = [lake.clone(), open(&folder)];
        async move {
            for lake in lakes {
                assert_eq!(ids(&lake, At::Version(version)).await, expected, "version {version}");
            }
        }
    };
    check(1, &[1, 2]).await;
    check(2, &[1, 2]).await;
    check(3, &[2]).await;
    check(4, &[1, 2]).await;
    assert_eq!(latest(&lake).await.rows(), Some(2));

    let check = |from, to, added: &'static [i64], removed: &'static [i64]| {
        let lake = open(&folder);
        async move {
            let changes = lake.changes(&table(), from, to).await.unwrap();
            let schema = changes.to_schema.clone();
            let got = (
                ids_of(&lake, schema.clone(), &changes.added).await,
                ids_of(&lake, schema, &changes.removed).await,
            );
            assert_eq!(got, (added.to_vec(), removed.to_vec()), "from {from} to {to}");
        }
    };
    check(0, 1, &[2], &[]).await;
    check(0, 2, &[2], &[]).await;
    check(1, 2, &[], &[]).await;
    check(2, 3, &[], &[1]).await;
    check(3, 4, &[1], &[]).await;
}

#[tokio::test]
async fn a_path_keeps_the_spelling_of_its_log() {
    // `spelled` is the path as the log spells it, `name` as the file is called.
    let check = async |spelled: &'static str, name: &'static str| {
        let (folder, lake) = local();
        let mut one = add(&folder, name, &[1]);
        one["add"]["path"] = spelled.into();
        create(&folder, &[one.clone()]);
        for id in 2..=10 {
            append(&lake, &[id]).await;
        }
        let now = TimestampMicros::from_system(std::time::SystemTime::now());
        let options = MaintainOptions { target_bytes: 1, ..MaintainOptions::at(now) };
        let done = lake.maintain(&runtime(&lake), &table(), &options).await.unwrap().unwrap();
        assert_eq!(done.checkpoint, Some(9), "{spelled}");
        // The path is read from the checkpoint, and written back by a remove.
        let lake = open(&folder);
        assert_eq!(ids(&lake, At::Latest).await, (1..=10).collect::<Vec<i64>>(), "{spelled}");
        assert!(latest(&lake).await.files().iter().any(|file| file.path() == name), "{spelled}");
        let version = overwrite(&lake, &[20]).await;
        let removed = actions(&folder, version, "remove");
        assert!(removed.iter().any(|remove| remove["path"] == spelled), "{spelled}: {removed:?}");
        assert_eq!(ids(&open(&folder), At::Latest).await, [20], "{spelled}");
        assert!(table_folder(&folder).join(name).exists());
    };
    check("plain.parquet", "plain.parquet").await;
    check("größe*.parquet", "größe*.parquet").await;
    check("gr%C3%B6%C3%9Fe.parquet", "größe.parquet").await;
    check("a%3Db%3A1.parquet", "a=b:1.parquet").await;
    check("50%2525%20off.parquet", "50%25 off.parquet").await;
}

#[tokio::test]
async fn two_spellings_of_one_path_are_one_file() {
    let (folder, lake) = local();
    let mut one = add(&folder, "a=1.parquet", &[1]);
    one["add"]["path"] = "a%3D1.parquet".into();
    create(&folder, &[one.clone()]);
    one["add"]["path"] = "a=1.parquet".into();
    write_commit(&folder, 1, &[remove(&one)]);
    assert_eq!(latest(&lake).await.files(), []);
}

/// A file with one column `at` of these instants, as Spark writes them by default: nanoseconds of a day, Julian day.
fn write_int96(path: &std::path::Path, instants: &[(u64, u32)]) {
    let schema = Arc::new(parse_message_type("message spark { optional int96 at; }").unwrap());
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut rows = writer.next_row_group().unwrap();
    let mut column = rows.next_column().unwrap().unwrap();
    let values: Vec<Int96> = instants
        .iter()
        .map(|(nanos, day)| Int96::from(vec![*nanos as u32, (*nanos >> 32) as u32, *day]))
        .collect();
    let present = vec![1; values.len()];
    column.typed::<Int96Type>().write_batch(&values, Some(&present), None).unwrap();
    column.close().unwrap();
    rows.close().unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn timestamps_of_spark_keep_their_years() {
    let (folder, lake) = local();
    let mut action = add(&folder, "one.parquet", &[1]);
    let noon = 43_200_000_000_000;
    let instants = [(0, 1_721_426), (noon, 2_460_000), (noon + 123_456_000, 5_373_484)];
    write_int96(&table_folder(&folder).join("one.parquet"), &instants);
    let size = std::fs::metadata(table_folder(&folder).join("one.parquet")).unwrap().len();
    action["add"]["size"] = size.into();
    action["add"]["stats"] = r#"{"numRecords":3}"#.into();
    let definition = [protocol(), metadata(&[field("at", "timestamp")], json!({}))];
    write_commit(&folder, 0, &[definition.to_vec(), vec![action]].concat());
    let snapshot = latest(&lake).await;
    let provider = LakeTable::new(&lake, snapshot.schema(), snapshot.files().to_vec()).unwrap();
    let rows = session(&lake).read_table(provider).unwrap();
    let rows = rows.filter(col("at").is_not_null()).unwrap().sort(vec![col("at").sort(true, true)]).unwrap();
    let shown = pretty_format_batches(&rows.collect().await.unwrap()).unwrap().to_string();
    let shown: Vec<&str> =
        shown.lines().filter(|line| line.contains('T')).map(|line| line.trim_matches(['|', ' '])).collect();
    assert_eq!(shown, ["0001-01-01T00:00:00Z", "2023-02-24T12:00:00Z", "9999-12-31T12:00:00.123456Z"]);
}

#[tokio::test]
async fn stray_files_in_the_log_are_no_versions() {
    let check = async |name: &'static str, version: Result<i64, &'static str>| {
        let (folder, lake) = local();
        create(&folder, &[add(&folder, "one.parquet", &[1])]);
        write_commit(&folder, 1, &[add(&folder, "two.parquet", &[2])]);
        std::fs::copy(commit_file(&folder, 1), table_folder(&folder).join("_delta_log").join(name)).unwrap();
        let latest = lake.snapshot(&table(), At::Latest).await;
        let latest = latest.map(|snapshot| snapshot.unwrap().version()).map_err(|error| error.to_string());
        assert_eq!(latest, version.map_err(str::to_owned), "{name}");
    };
    check("+0000000000000000002.json", Ok(1)).await;
    check("-0000000000000000002.json", Ok(1)).await;
    check("0000000000000000000٢.json", Ok(1)).await;
    check("00000000000000000002.json.tmp", Ok(1)).await;
    check("09223372036854775807.json", Ok(1)).await;
    check("99999999999999999999.json", Ok(1)).await;
    // It may be a version whose predecessors were lost, so nothing is read in its place.
    let lost = "the log of silver.orders cannot be read at version 2";
    check("00000000009999999999.json", Err(lost)).await;
    check("09223372036854775806.json", Err(lost)).await;
}

#[tokio::test]
async fn folders_below_the_log_of_a_bucket_are_not_the_log() {
    let store = Arc::new(InMemory::new());
    let lake = Lake::with_store("memory:///lake", store.clone()).unwrap();
    crate::support::create(&lake, &[1]).await;
    let path = "lake/silver/orders/_delta_log/_commits/00000000009999999999.json";
    store.put(&path.into(), "{}".into()).await.unwrap();
    let fresh = Lake::with_store("memory:///lake", store).unwrap();
    assert_eq!(latest(&fresh).await.version(), 0);
}

#[tokio::test]
async fn whatever_a_commit_says_of_itself_the_table_is_read() {
    let check = async |info: Value, committed_ms: i64, operation: &'static str| {
        let (folder, lake) = local();
        let info = json!({ "commitInfo": info });
        create(&folder, &[add(&folder, "one.parquet", &[1]), info.clone()]);
        assert_eq!(ids(&lake, At::Latest).await, [1], "{info}");
        let history = lake.history(&table(), None).await.unwrap();
        let expected = (TimestampMicros::from_ms(committed_ms), operation);
        assert_eq!((history[0].committed_at, history[0].operation.as_str()), expected, "{info}");
    };
    const MS: i64 = 1_700_000_000_000;
    check(json!({"timestamp": MS, "operation": "WRITE"}), MS, "WRITE").await;
    check(json!({"timestamp": 1.7e12}), MS, "").await;
    check(json!({"timestamp": MS, "operationParameters": "x", "operation": 3}), MS, "").await;
    check(json!({"timestamp": MS, "readVersion": "5", "isBlindAppend": "true", "engineInfo": {}}), MS, "")
        .await;
    check(
        json!({"timestamp": MS, "operation": "WRITE", "isolationLevel": null, "operation2": [1]}),
        MS,
        "WRITE",
    )
    .await;
}

#[tokio::test]
async fn rules_for_rows_that_are_not_checked_are_not_broken() {
    let plain = || [field("id", "long"), field("name", "string")];
    let with = |change: fn(&mut Value)| {
        let [mut id, name] = plain();
        change(&mut id);
        [id, name]
    };
    // `allowed` says whether rows may be added, replaced, and moved between files.
    let features = ["appendOnly", "invariants"];
    let listed =
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": features}});
    let check = async |fields: [Value; 2], settings: Value, allowed: [bool; 3], why: &'static str| {
        let operations = [Operation::Append, Operation::Overwrite, Operation::Compact];
        let cases = operations.into_iter().zip(allowed);
        for ((operation, allowed), protocol) in
            cases.flat_map(|case| [(case, protocol()), (case, listed.clone())])
        {
            let (folder, lake) = local();
            let one = add(&folder, "one.parquet", &[1]);
            write_commit(&folder, 0, &[protocol, metadata(&fields, settings.clone()), one]);
            let base = latest(&lake).await;
            let change = TableChange {
                add: crate::support::stage(&lake, &[1]).await,
                remove: if operation == Operation::Append { Vec::new() } else { base.files().to_vec() },
                operation,
                data_change: operation != Operation::Compact,
                ..TableChange::default()
            };
            match lake.commit(&table(), Some(&base), change).await {
                Ok(_) => assert!(allowed, "{operation:?}: {why}"),
                Err(error) => {
                    assert!(!allowed && error.code() == "MS-0411" && error.hint().is_some(), "{error}");
                    assert_eq!(
                        error.to_string(),
                        format!("silver.orders uses {why}, which is not supported")
                    );
                }
            }
        }
    };
    check(plain(), json!({"delta.appendOnly": "false"}), [true, true, true], "").await;
    let why = "`delta.appendOnly` and the change removes rows";
    check(plain(), json!({"delta.appendOnly": "true"}), [true, false, true], why).await;
    let fields = with(|id| {
        let invariant = r#"{"expression":{"expression":"id > 0"}}"#;
        id["metadata"] = json!({ "delta.invariants": invariant });
    });
    check(fields, json!({}), [false, false, true], "an invariant of column `id`").await;
    let fields = with(|id| id["nullable"] = false.into());
    check(fields, json!({}), [false, false, true], "column `id` that must not be null").await;
    let nested = with(|id| {
        let inner = json!({"name": "x", "type": "long", "nullable": false, "metadata": {}});
        let object = json!({"type": "struct", "fields": [inner]});
        id["type"] = json!({"type": "array", "elementType": object, "containsNull": true});
    });
    let why = "column `id.element.x` that must not be null";
    check(nested, json!({}), [false, false, true], why).await;
}

#[tokio::test]
async fn what_others_say_of_columns_stays() {
    let metadata_of = |folder: &tempfile::TempDir, version| {
        let found = actions(folder, version, "metaData");
        found.first().map(|metadata| -> Value {
            serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap()
        })
    };
    let (folder, lake) = local();
    let mut id = field("id", "long");
    id["metadata"] = json!({"comment": "who", "length": 3, "list": [1, 2]});
    let mut inner = field("x", "long");
    inner["metadata"] = json!({"comment": "where"});
    let mut object = field("object", "long");
    object["type"] = json!({"type": "struct", "fields": [inner]});
    let fields = [id, field("name", "string"), object];
    write_commit(&folder, 0, &[protocol(), metadata(&fields, json!({}))]);

    // The engine knows only the names and types of columns.
    let plain = |id: DataType| {
        vec![
            Field::new("id", id, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("object", DataType::Struct(vec![Field::new("x", DataType::Int64, true)].into()), true),
        ]
    };
    let commit = async |columns: Vec<Field>| {
        let schema = Some(Arc::new(Schema::new(columns)));
        let change = TableChange { schema, ..TableChange::default() };
        lake.commit(&table(), Some(&*latest(&lake).await), change).await.unwrap()
    };
    let version = commit(plain(DataType::Int64)).await;
    assert_eq!(metadata_of(&folder, version), None, "the columns are the same");
    let mut more = plain(DataType::Int64);
    more.push(Field::new("amount", DataType::Float64, true));
    let version = commit(more).await;
    let mut expected = fields.to_vec();
    expected.push(field("amount", "double"));
    assert_eq!(metadata_of(&folder, version), Some(json!({"type": "struct", "fields": expected})));
    // No file holds a row, so a column may get another type, for which the length of the old type says nothing.
    let version = commit(plain(DataType::Utf8)).await;
    let mut expected = fields.to_vec();
    expected[0]["type"] = "string".into();
    expected[0]["metadata"] = json!({"comment": "who"});
    assert_eq!(metadata_of(&folder, version), Some(json!({"type": "struct", "fields": expected})));
}

#[tokio::test]
async fn commits_that_do_not_say_their_time_have_that_of_their_file() {
    let (folder, lake) = local();
    let hour = 3_600_000;
    let now = TimestampMicros::from_system(std::time::SystemTime::now());
    let at = |hours: i64| TimestampMicros::from_ms(now.as_ms() + hours * hour);
    let files: Vec<Value> = (0..3).map(|id| add(&folder, &format!("{id}.parquet"), &[id])).collect();
    create(&folder, &files[..1]);
    write_commit(&folder, 1, &[remove(&files[0]), files[1].clone()]);
    write_commit(&folder, 2, &[remove(&files[1]), files[2].clone()]);
    for (version, hours) in [(0, -1000), (1, -900), (2, -1)] {
        written_at(&commit_file(&folder, version), at(hours).as_ms());
        written_at(&table_folder(&folder).join(format!("{version}.parquet")), at(-1000).as_ms());
    }
    for (hours, version) in [(-1000, 0), (-901, 0), (-900, 1), (-2, 1), (-1, 2), (0, 2)] {
        let snapshot = lake.snapshot(&table(), At::Timestamp(at(hours))).await.unwrap().unwrap();
        assert_eq!(snapshot.version(), version, "{hours}");
    }
    assert_eq!(latest(&lake).await.committed_at(), at(-1));
    assert_eq!(lake.history(&table(), Some(1)).await.unwrap()[0].committed_at, at(-1));
    // Version 1 was current until an hour ago, however old its file is.
    let done = lake.maintain(&runtime(&lake), &table(), &MaintainOptions::at(now)).await.unwrap().unwrap();
    assert_eq!(done.data_files_deleted, 1);
    assert_eq!(ids(&open(&folder), At::Version(1)).await, [1]);
}

#[tokio::test]
async fn paths_outside_the_folder_are_not_followed() {
    let check = async |path: &'static str, allowed: bool| {
        let (folder, lake) = local();
        let mut one = add(&folder, "one.parquet", &[1]);
        one["add"]["path"] = path.into();
        create(&folder, &[one]);
        match lake.snapshot(&table(), At::Latest).await {
            Ok(_) => assert!(allowed, "{path}"),
            Err(error) => assert!(!allowed && error.code() == "MS-0411", "{path}: {error}"),
        }
    };
    check("part=a:b/one.parquet", true).await;
    check("a%3Ab.parquet", true).await;
    check("..one.parquet", true).await;
    check("file:/etc/passwd", false).await;
    check("file:///etc/passwd", false).await;
    check("S3a+x.y-z://bucket/one.parquet", false).await;
    check("/etc/passwd", false).await;
    check("%2Fetc/passwd", false).await;
    check("../other/one.parquet", false).await;
    check("a/%2E%2E/%2E%2E/one.parquet", false).await;
    check("./one.parquet", false).await;
    check("a//one.parquet", false).await;
    check("", false).await;
}

#[tokio::test]
async fn figures_that_cannot_be_do_not_overflow() {
    let (folder, lake) = local();
    let files = ["one.parquet", "two.parquet"].map(|name| {
        let mut file = add(&folder, name, &[1]);
        file["add"]["stats"] = json!({"numRecords": u64::MAX}).to_string().into();
        file["add"]["size"] = i64::MAX.into();
        file
    });
    create(&folder, &files);
    write_commit(&folder, 1, &files);
    let mut third = files[0].clone();
    third["add"]["path"] = "three.parquet".into();
    write_commit(&folder, 2, &[third]);
    let snapshot = latest(&lake).await;
    assert_eq!((snapshot.rows(), snapshot.bytes()), (Some(u64::MAX), u64::MAX));
}

#[tokio::test]
async fn what_a_newer_version_no_longer_has_does_not_matter() {
    let fields = || [field("id", "long"), field("name", "string")];
    let check = async |odd: Value| {
        let (folder, lake) = local();
        write_commit(&folder, 0, &[definition(), vec![add(&folder, "one.parquet", &[1])]].concat());
        assert_eq!(ids(&lake, At::Latest).await, [1]);
        write_commit(&folder, 1, std::slice::from_ref(&odd));
        let error = lake.snapshot(&table(), At::Latest).await.unwrap_err();
        assert!(["MS-0411", "MS-0414"].contains(&error.code()), "{odd}: {error}");
        write_commit(&folder, 2, &definition());
        for lake in [&lake, &open(&folder)] {
            assert_eq!(ids(lake, At::Latest).await, [1], "{odd}");
        }
        let error = lake.snapshot(&table(), At::Version(1)).await.unwrap_err();
        assert!(["MS-0411", "MS-0414"].contains(&error.code()), "{odd}: {error}");
    };
    check(json!({"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}})).await;
    let mut partitioned = metadata(&fields(), json!({}));
    partitioned["metaData"]["partitionColumns"] = json!(["name"]);
    check(partitioned).await;
    check(metadata(&[field("id", "variant")], json!({}))).await;
}
