//! What goes into a spool comes out of it, wherever it was meanwhile; memory stays within its bound; files go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Int32Type, Schema, SchemaRef},
};
use millstream_spool::{Space, Spool, SpoolError, SpoolWriter, size_of};
use proptest::prelude::*;
use tempfile::TempDir;

fn schema() -> SchemaRef {
    let items = Field::new_list_field(DataType::Int32, true);
    Arc::new(Schema::new(vec![
        Field::new("number", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("view", DataType::Utf8View, true),
        Field::new("list", DataType::List(Arc::new(items)), true),
    ]))
}

type Row = Option<(i64, String)>;

fn batch(rows: &[Row]) -> RecordBatch {
    let texts = || rows.iter().map(|row| row.as_ref().map(|(_, text)| text.as_str()));
    let numbers: Int64Array = rows.iter().map(|row| row.as_ref().map(|(number, _)| *number)).collect();
    let list = |row: &Row| row.as_ref().map(|(_, text)| vec![i32::try_from(text.len()).ok(), None]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(numbers),
        Arc::new(texts().collect::<StringArray>()),
        Arc::new(texts().collect::<StringViewArray>()),
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows.iter().map(list))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn spooled(space: &Arc<Space>, batches: &[RecordBatch]) -> Result<Spool, SpoolError> {
    let mut writer = SpoolWriter::new(space, schema());
    batches.iter().try_for_each(|batch| writer.push(batch.clone()))?;
    writer.finish()
}

fn read(spool: &Spool, projection: Option<Vec<usize>>) -> RecordBatch {
    let wanted = projection.as_ref().map(|columns| schema().project(columns).unwrap());
    let schema = wanted.map_or_else(schema, Arc::new);
    let batches: Vec<_> = spool.columns(projection).unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn files(folder: &Path) -> usize {
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    folders.map(|folder| std::fs::read_dir(folder).unwrap().count()).sum()
}

fn rows() -> impl Strategy<Value = Vec<Vec<Row>>> {
    let row = proptest::option::of((any::<i64>(), "[a-zäöü]{0,30}"));
    proptest::collection::vec(proptest::collection::vec(row, 0..40), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_goes_in_comes_out_in_order(parts in rows(), limit in 0_usize..6_000, [slice, compress] in any::<[bool; 2]>()) {
        let folder = TempDir::new().unwrap();
        let space = if compress { Space::compressed(folder.path(), limit) } else { Space::new(folder.path(), limit) };
        let whole: Vec<_> = parts.iter().map(|rows| batch(rows)).collect();
        let cut = |batch: &RecordBatch| {
            let rows = batch.num_rows();
            if slice { batch.slice(rows / 3, rows - rows / 3) } else { batch.clone() }
        };
        let batches: Vec<_> = whole.iter().map(cut).collect();
        let spool = spooled(&space, &batches).unwrap();
        let expected = concat_batches(&schema(), &batches).unwrap();
        prop_assert_eq!(spool.rows(), expected.num_rows());
        for columns in [None, Some(vec![2]), Some(vec![3, 0]), Some(vec![])] {
            let wanted = columns.as_ref().map_or_else(|| expected.clone(), |columns| expected.project(columns).unwrap());
            // The rows are read twice: reading takes nothing away.
            if columns.as_ref().is_none_or(|columns| !columns.is_empty()) {
                prop_assert_eq!(&read(&spool, columns.clone()), &wanted);
            }
            let counted: usize = spool.columns(columns).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
            prop_assert_eq!(counted, wanted.num_rows());
        }
    }

    /// Several spools share one bound, and rows that were let go make room for others.
    #[test]
    fn memory_stays_within_its_bound(parts in rows(), limit in 0_usize..6_000) {
        let folder = TempDir::new().unwrap();
        let space = Space::new(folder.path(), limit);
        let mut spools = Vec::new();
        for rows in &parts {
            spools.push(spooled(&space, &[batch(rows)]).unwrap());
            if spools.len() == 4 {
                spools.remove(0);
            }
            let held = spools.iter().filter_map(Spool::in_memory).flatten().map(size_of).sum::<usize>();
            prop_assert!(held <= limit, "{held} of {limit}");
            let on_disk = spools.iter().filter(|spool| spool.in_memory().is_none()).count();
            prop_assert_eq!(if folder.path().read_dir().unwrap().next().is_none() { 0 } else { files(folder.path()) }, on_disk);
        }
        drop(spools);
        let whole = batch(&[Some((1, "a".into()))]);
        let fits = size_of(&whole) <= limit;
        prop_assert_eq!(spooled(&space, &[whole]).unwrap().in_memory().is_some(), fits);
    }
}

#[test]
fn files_and_folders_go_with_what_they_belong_to() {
    let folder = TempDir::new().unwrap();
    let space = Space::new(folder.path(), 0);
    let one = batch(&[Some((1, "a long text that fits into no view".into())), None]);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "a folder is made for a file");
    let spool = spooled(&space, std::slice::from_ref(&one)).unwrap();
    assert_eq!(space.spilled_bytes(), size_of(&one) as u64);
    let mut unfinished = SpoolWriter::new(&space, schema());
    unfinished.push(one.clone()).unwrap();
    assert_eq!(files(folder.path()), 2);
    drop(unfinished);
    assert_eq!(files(folder.path()), 1);
    drop(space);
    assert_eq!(read(&spool, None), one, "the folder stays while there is a spool");
    drop(spool);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

/// A batch that filters a large one keeps no more of it alive than its own values.
#[test]
fn views_are_counted_and_kept_as_what_they_show() {
    let folder = TempDir::new().unwrap();
    let large: Vec<Row> = (0..1_000).map(|number| Some((number, "x".repeat(1_000)))).collect();
    let slice = batch(&large).slice(10, 1);
    let space = Space::new(folder.path(), 64 << 10);
    let spool = spooled(&space, std::slice::from_ref(&slice)).unwrap();
    let held = spool.in_memory().unwrap();
    let kept =
        held[0].column(2).to_data().buffers().iter().skip(1).map(|buffer| buffer.capacity()).sum::<usize>();
    assert!(kept < 4_096, "{kept}");
    assert!(spool.bytes() > 2_000, "the text and the view's text count, {}", spool.bytes());
    assert_eq!(read(&spool, None), slice);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("not/there");
    let check = |error: SpoolError| {
        assert_eq!(error.to_string(), format!("cannot create a folder in `{}`", missing.display()));
        assert!(std::error::Error::source(&error).is_some());
    };
    check(Space::new(&missing, 0).prepare().unwrap_err());
    check(spooled(&Space::new(&missing, 0), &[batch(&[None])]).unwrap_err());
    // A space that needs no file needs no folder.
    assert_eq!(spooled(&Space::new(&missing, 1 << 20), &[batch(&[None])]).unwrap().rows(), 1);
}

#[test]
fn a_file_that_is_gone_or_damaged_is_named() {
    let folder = TempDir::new().unwrap();
    let space = Space::new(folder.path(), 0);
    let spool = spooled(&space, &[batch(&[Some((1, "a".into()))])]).unwrap();
    let inner = folder.path().read_dir().unwrap().next().unwrap().unwrap().path();
    let path = inner.join("0.arrows");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let named =
        |error: SpoolError| assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    match spool.batches() {
        Ok(batches) => named(batches.filter_map(Result::err).next().unwrap()),
        Err(error) => named(error),
    }
    std::fs::remove_file(&path).unwrap();
    named(spool.batches().err().unwrap());
}
