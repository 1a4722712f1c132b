//! A schema of its own on the PostgreSQL server that `cargo xtask test` started.

use std::{
    fs,
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio_postgres::{Client, NoTls};

/// A schema that only this test uses. It stays on the server, which is removed when the tests end.
pub(crate) struct Schema {
    server: String,
    name: String,
    url: String,
}

impl Schema {
    /// Makes the schema. Without a server it is `None`, and a line says that the suite was skipped.
    pub(crate) async fn fresh(suite: &str) -> Option<Self> {
        static SCHEMAS: AtomicU64 = AtomicU64::new(0);
        let server = given(suite)?;
        let name = format!("test_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed));
        let url = format!("{server}?options=-csearch_path%3D{name}&application_name={name}");
        let schema = Self { server, name, url };
        schema.client().await.batch_execute(&format!("CREATE SCHEMA {}", schema.name)).await.unwrap();
        Some(schema)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// A connection of the test's own, in the schema.
    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Ends the connections that others have in the schema, as a server does that is restarted.
    pub(crate) async fn end_sessions(&self) {
        let client = self.client().await;
        let sql = "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a \
                   WHERE a.application_name = $1 AND a.pid <> pg_backend_pid()";
        client.query(sql, &[&self.name]).await.unwrap();
    }
}

fn given(suite: &str) -> Option<String> {
    if let Ok(url) = std::env::var("MILLSTREAM_TEST_POSTGRES") {
        return Some(url);
    }
    if let Ok(skips) = std::env::var("MILLSTREAM_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(skips).unwrap();
        writeln!(file, "millstream-state: {suite} (no PostgreSQL server)").unwrap();
    }
    None
}
