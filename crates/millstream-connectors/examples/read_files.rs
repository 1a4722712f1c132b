//! Reads files as the engine would and says how fast: `read_files <path> [threads]`, format by the name.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::{collections::VecDeque, time::Instant};

use futures::StreamExt;
use millstream_connector::{BuildContext, ConnectorFactory, ReadRequest};
use millstream_connectors::FilesFactory;
use serde_json::json;

#[tokio::main]
async fn main() {
    let path = std::env::args().nth(1).unwrap();
    let threads: usize = std::env::args().nth(2).map_or(1, |text| text.parse().unwrap());
    let mut options = json!({ "path": path });
    if let Some(bytes) = std::env::args().nth(3) {
        options["block_bytes"] = bytes.parse::<u64>().unwrap().into();
    }
    let config = FilesFactory.validate(&options, None).unwrap();
    let connector = config.build(&BuildContext::new(".".into())).unwrap();
    for part in connector.discover(&[]).await.unwrap().parts {
        let start = Instant::now();
        let mut blocks = connector.read(&part, &ReadRequest::default()).await.unwrap();
        let mut running = VecDeque::new();
        let (mut rows, mut malformed, mut count) = (0, 0, 0);
        loop {
            let block = if running.len() < threads { blocks.next().await } else { None };
            match block {
                Some(block) => {
                    let block = block.unwrap();
                    count += 1;
                    running.push_back(tokio::task::spawn_blocking(move || block.decode().unwrap()));
                }
                None => match running.pop_front() {
                    Some(task) => {
                        let batch = task.await.unwrap();
                        rows += batch.rows.num_rows();
                        malformed += batch.malformed.len();
                    }
                    None => break,
                },
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let megabytes = part.bytes.unwrap_or(0) as f64 / 1e6;
        println!(
            "{}: {rows} rows, {malformed} malformed, {count} blocks, {seconds:.2} s, {:.0} MB/s, {:.2} M rows/s",
            part.id,
            megabytes / seconds,
            f64::from(u32::try_from(rows).unwrap()) / 1e6 / seconds,
        );
    }
}
