//! The suite of `millstream-connector`, for every format, compression and place.

use std::sync::Arc;

use async_trait::async_trait;
use millstream_connector::{
    Connector, ConnectorError,
    conformance::{Fixture, check},
};
use serde_json::{Value, json};

use crate::{
    compressed::{gzip, zstd},
    folder::Folder,
    typed::{avro_bytes, parquet_bytes, people},
};

struct Files {
    folder: Folder,
    extension: &'static str,
    /// Read through the interface of an object store.
    by_url: bool,
}

impl Files {
    fn options(&self, folder: &str) -> Value {
        let root =
            if self.by_url { format!("file://{}/", self.folder.dir.path().display()) } else { String::new() };
        json!({
            "path": format!("{root}{folder}/*.{}", self.extension),
            "settle": 0,
            "block_bytes": 20,
        })
    }

    fn content(&self, first: i64, rows: i64) -> Vec<u8> {
        let ids = || first..first + rows;
        let csv = || {
            let rows: String = ids().map(|id| format!("{id},\"name\n{id}\"\n")).collect();
            format!("id,name\n{rows}").into_bytes()
        };
        let json = || {
            ids().map(|id| format!("{{\"id\":{id},\"name\":\"n{id}\"}}\n")).collect::<String>().into_bytes()
        };
        match self.extension {
            "csv" => csv(),
            "csv.gz" => gzip(&csv()),
            "csv.zst" => zstd(&csv()),
            "jsonl" => json(),
            "jsonl.gz" => gzip(&json()),
            "jsonl.zst" => zstd(&json()),
            "parquet" => parquet_bytes(&people(first, rows), 3),
            "avro" => avro_bytes(&[people(first, rows - 2), people(first + rows - 2, 2)]),
            other => panic!("{other}"),
        }
    }

    /// The name of a part's file below the folder.
    fn name(&self, part: &str) -> String {
        format!("data/{}", part.rsplit_once('/').unwrap().1)
    }
}

#[async_trait]
impl Fixture for Files {
    fn connector(&self) -> Result<Arc<dyn Connector>, ConnectorError> {
        self.folder.try_connector(&self.options("data"))
    }

    fn nowhere(&self) -> Result<Arc<dyn Connector>, ConnectorError> {
        let mut options = self.options("nowhere");
        options["path"] = options["path"].as_str().unwrap().replace('*', "x").into();
        self.folder.try_connector(&options)
    }

    async fn fill(&mut self) {
        for (name, first) in [("a", 1), ("b", 100)] {
            self.folder.write(&format!("data/{name}.{}", self.extension), self.content(first, 8));
        }
    }

    async fn replace(&mut self, part: &str) {
        self.folder.tick().await;
        self.folder.write(&self.name(part), self.content(500, 7));
    }

    async fn grow(&mut self, part: &str) -> bool {
        let text = matches!(self.extension, "csv" | "jsonl");
        if text {
            self.folder.tick().await;
            self.folder.write(&self.name(part), self.content(1, 12));
        }
        text
    }

    async fn touch(&mut self, part: &str) -> bool {
        // Parquet is read by range: through a store nobody has seen all of its bytes.
        if self.by_url && self.extension == "parquet" {
            return false;
        }
        self.folder.tick().await;
        let same = std::fs::read(self.folder.path(&self.name(part))).unwrap();
        self.folder.write(&self.name(part), same);
        true
    }
}

#[tokio::test]
async fn files_conform() {
    for extension in ["csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet", "avro"] {
        for by_url in [false, true] {
            let mut files = Files { folder: Folder::new(), extension, by_url };
            if let Err(problem) = check(&mut files).await {
                panic!("{extension}, by URL: {by_url}: {problem}");
            }
        }
    }
}
