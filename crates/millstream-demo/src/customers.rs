//! Customers as Parquet: everyone in January, those who changed in April.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
        TimestampMicrosecondBuilder,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use parquet::{
    arrow::ArrowWriter, basic::Compression, errors::ParquetError, file::properties::WriterProperties,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{
    DemoError, FileTask, Kind,
    calendar::{self, MONTHS},
    draw_fault,
    names::{COUNTRIES, FIRST_NAMES, LAST_NAMES, MAIL_HOSTS, SEGMENTS, weighted},
};

/// Rows in one record batch.
const BATCH_ROWS: u64 = 16_384;

/// A fault of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    BadEmail,
    NoEmail,
    BadBirthYear,
    UnknownCountry,
    NoCustomerId,
    Duplicate,
}

/// Each fault with the number of rows, of 10,000 of a full export, that have it; changes are typed in by people and
/// have five times as many.
const FAULTS: [(Fault, u32); 6] = [
    (Fault::BadEmail, 20),
    (Fault::NoEmail, 6),
    (Fault::BadBirthYear, 8),
    (Fault::UnknownCountry, 6),
    (Fault::NoCustomerId, 3),
    (Fault::Duplicate, 7),
];

struct Columns {
    customer_id: Int64Builder,
    name: StringBuilder,
    email: StringBuilder,
    country: StringBuilder,
    segment: StringBuilder,
    birth_year: Int32Builder,
    newsletter: BooleanBuilder,
    updated_at: TimestampMicrosecondBuilder,
}

pub(super) fn write(task: &FileTask<'_>, random: &mut ChaCha8Rng) -> Result<u64, DemoError> {
    let file = File::create(&task.path).map_err(DemoError::file("create", &task.path))?;
    write_rows(task, random, file).map_err(|source| DemoError::Parquet { path: task.path.clone(), source })
}

fn write_rows(task: &FileTask<'_>, random: &mut ChaCha8Rng, file: File) -> Result<u64, ParquetError> {
    let schema = schema();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
    let mut done = 0;
    while done < task.rows {
        let rows = BATCH_ROWS.min(task.rows - done);
        let mut columns = Columns::new();
        for row in done..done + rows {
            push_row(&mut columns, task, row, random);
        }
        writer.write(&columns.finish(&schema)?)?;
        done += rows;
    }
    writer.finish()?;
    Ok(writer.bytes_written() as u64)
}

fn push_row(columns: &mut Columns, task: &FileTask<'_>, row: u64, random: &mut ChaCha8Rng) {
    let changes = matches!(task.kind, Kind::CustomerChanges);
    let fault = draw_fault(&FAULTS, if changes { 5 } else { 1 }, random);
    let row = if fault == Some(Fault::Duplicate) { row.saturating_sub(1) } else { row };
    // Changes concern every fourth customer, everyone at most once.
    let id = if changes { row * 4 % task.shop.customers + 1 } else { row + 1 };
    columns.customer_id.append_option(match fault {
        Some(Fault::NoCustomerId) => None,
        _ => i64::try_from(id).ok(),
    });

    let first = FIRST_NAMES[random.random_range(0..FIRST_NAMES.len())];
    let last = LAST_NAMES[random.random_range(0..LAST_NAMES.len())];
    columns.name.append_value(format!("{first} {last}"));
    let host = MAIL_HOSTS[random.random_range(0..MAIL_HOSTS.len())];
    match fault {
        Some(Fault::NoEmail) => columns.email.append_null(),
        Some(Fault::BadEmail) => columns.email.append_value(format!("{}{id} at {host}", ascii(first))),
        _ => columns.email.append_value(format!("{}.{}{id}@{host}", ascii(first), ascii(last))),
    }
    let country = weighted(&COUNTRIES, |country| country.1, random.random_range(0..100)).0;
    columns.country.append_value(if fault == Some(Fault::UnknownCountry) { "Atlantis" } else { country });
    columns.segment.append_value(weighted(&SEGMENTS, |segment| segment.1, random.random_range(0..100)).0);
    let birth_year = if fault == Some(Fault::BadBirthYear) { 19 } else { random.random_range(1_940..2_009) };
    columns.birth_year.append_value(birth_year);
    columns.newsletter.append_value(random.random_range(0..100) < 37);
    let month = MONTHS[task.month];
    // A duplicate repeats the instant too; everything else of the row may differ, as in a double click.
    let second = u32::try_from(id * 7_919 % 86_400).unwrap_or(0);
    let day = if changes { u32::try_from(id % u64::from(month.days)).unwrap_or(0) } else { 0 };
    columns.updated_at.append_value(calendar::micros(month, day, second));
}

/// The lower-case ASCII letters of a name.
fn ascii(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect()
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("customer_id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("email", DataType::Utf8, true),
        Field::new("country", DataType::Utf8, true),
        Field::new("segment", DataType::Utf8, true),
        Field::new("birth_year", DataType::Int32, true),
        Field::new("newsletter", DataType::Boolean, true),
        Field::new("updated_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]))
}

impl Columns {
    fn new() -> Self {
        Self {
            customer_id: Int64Builder::new(),
            name: StringBuilder::new(),
            email: StringBuilder::new(),
            country: StringBuilder::new(),
            segment: StringBuilder::new(),
            birth_year: Int32Builder::new(),
            newsletter: BooleanBuilder::new(),
            updated_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
        }
    }

    fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch, ParquetError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.customer_id.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.email.finish()),
            Arc::new(self.country.finish()),
            Arc::new(self.segment.finish()),
            Arc::new(self.birth_year.finish()),
            Arc::new(self.newsletter.finish()),
            Arc::new(self.updated_at.finish()),
        ];
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}
