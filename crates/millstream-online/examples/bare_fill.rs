//! The embedded store's library with nothing before it: fills a database with sorted records of random bytes, so that a
//! bench can say how much of a materialisation is Millstream's own.
//!
//! `cargo run --release -p millstream-online --example bare_fill -- FOLDER 1000000 96`

use std::error::Error;

use fjall::{Database, KeyspaceCreateOptions};
use rand::{RngCore, SeedableRng, rngs::SmallRng};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("the first argument is a folder")?;
    let records: u64 = arguments.next().ok_or("the second argument is the number of records")?.parse()?;
    let length: usize = arguments.next().ok_or("the third argument is the bytes of a record")?.parse()?;
    let random = &mut SmallRng::seed_from_u64(records);
    let database = Database::builder(folder).open()?;
    let keyspace = database.keyspace("records", KeyspaceCreateOptions::default)?;
    let mut tables = keyspace.start_ingestion()?;
    for key in 0..records {
        let mut record = vec![0; length];
        random.fill_bytes(&mut record);
        tables.write(key.to_be_bytes().as_slice(), record)?;
    }
    tables.finish()?;
    Ok(())
}
