//! What only a server can do to a store: hold others' tables, refuse, go away, and lose an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use millstream_state::{NewArtifact, RunEnd, RunOutcome, State, StateError, StepOutcome};
use millstream_types::TimestampMicros;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    format::{ARTIFACTS, artifacts, check_scheduled},
    server::Schema,
    world::{artifact, end, recorded, run, step},
};

async fn refused(url: &str, project: &str) -> StateError {
    State::connect(url, project).await.unwrap_err()
}

#[tokio::test]
async fn a_schema_belongs_to_one_project() {
    let Some(schema) = Schema::fresh("postgres::a_schema_belongs_to_one_project").await else { return };
    drop(State::connect(schema.url(), "shop").await.unwrap());
    let error = refused(schema.url(), "bank").await;
    assert_eq!(error.code(), "MS-0613");
    assert!(error.to_string().contains("holds `shop`, not `bank`"), "{error}");
    assert!(error.hint().unwrap().contains("search_path%3Dshop"));
}

#[tokio::test]
async fn tables_of_another_application_are_left_alone() {
    let suite = "postgres::tables_of_another_application_are_left_alone";
    let Some(schema) = Schema::fresh(suite).await else { return };
    let client = schema.client().await;
    client.batch_execute("CREATE TABLE steps (x INT)").await.unwrap();
    assert_eq!(refused(schema.url(), "shop").await.code(), "MS-0614");
    let left = "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let Some(schema) = Schema::fresh("postgres::a_store_of_a_newer_version_is_refused").await else { return };
    drop(State::connect(schema.url(), "shop").await.unwrap());
    schema.client().await.batch_execute("UPDATE millstream_state SET format = 99").await.unwrap();
    let error = refused(schema.url(), "shop").await;
    assert_eq!(error.code(), "MS-0603");
    assert!(error.to_string().contains("format 99"), "{error}");
    schema.client().await.batch_execute("UPDATE millstream_state SET format = 0").await.unwrap();
    assert_eq!(refused(schema.url(), "shop").await.code(), "MS-0618");
}

#[tokio::test]
async fn a_store_of_version_2_is_read() {
    let Some(schema) = Schema::fresh("postgres::a_store_of_version_2_is_read").await else { return };
    let client = schema.client().await;
    client.batch_execute(include_str!("../data/postgres_v2.sql")).await.unwrap();
    let state = State::connect(schema.url(), "shop").await.unwrap();
    assert_eq!(artifacts(&state).await, ARTIFACTS);
    assert_eq!(state.last_run().await.unwrap().unwrap().principal.as_deref(), Some("ci"));
    let left = "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() \
                AND table_name IN ('service_versions', 'dataset_versions')";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_store_of_version_3_is_read() {
    let Some(schema) = Schema::fresh("postgres::a_store_of_version_3_is_read").await else { return };
    let client = schema.client().await;
    client.batch_execute(include_str!("../data/postgres_v2.sql")).await.unwrap();
    client.batch_execute(include_str!("../data/postgres_v3.sql")).await.unwrap();
    let state = State::connect(schema.url(), "shop").await.unwrap();
    assert_eq!(artifacts(&state).await, ["dataset churn@3: ee {} None None since 9, removed None"]);
    assert!(state.scheduled_assets().await.unwrap().is_empty());
    assert!(state.schedule_decisions(9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_store_of_version_4_is_read() {
    let Some(schema) = Schema::fresh("postgres::a_store_of_version_4_is_read").await else { return };
    let client = schema.client().await;
    for text in [
        include_str!("../data/postgres_v2.sql"),
        include_str!("../data/postgres_v3.sql"),
        include_str!("../data/postgres_v4.sql"),
    ] {
        client.batch_execute(text).await.unwrap();
    }
    check_scheduled(&State::connect(schema.url(), "shop").await.unwrap()).await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_without_its_password() {
    let suite = "postgres::what_cannot_be_reached_is_said_without_its_password";
    let Some(schema) = Schema::fresh(suite).await else { return };
    let nowhere = format!("{}?options=-csearch_path%3Dnowhere_at_all", schema.server());
    assert_eq!(refused(&nowhere, "shop").await.code(), "MS-0615");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [
        format!("postgres://user:hunter2@{closed}/db"),
        "postgres://user:hunter2@127.0.0.1:notaport/db".into(),
        "postgres://user:hunter2@127.0.0.1/db?unknown=hunter2".into(),
        format!("postgres://user:hunter2@{closed}/db?sslrootcert=/no/such/file"),
    ] {
        let error = refused(&url, "shop").await;
        assert_eq!(error.code(), "MS-0612", "{error}");
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            said = format!("{said}: {error}");
            cause = error.source();
        }
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn many_may_open_a_new_store_at_once() {
    let Some(schema) = Schema::fresh("postgres::many_may_open_a_new_store_at_once").await else { return };
    let url = Arc::new(schema.url().to_owned());
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { State::connect(&url, "shop").await })
        })
        .collect();
    for opened in opened {
        assert!(opened.await.unwrap().unwrap().recorded().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn writers_of_several_processes_take_turns() {
    let Some(schema) = Schema::fresh("postgres::writers_of_several_processes_take_turns").await else {
        return;
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let state = State::connect(schema.url(), "shop").await.unwrap();
        writers.spawn(async move {
            for number in 0..25 {
                let hash = format!("{writer}-{number}");
                state.record_artifact(&NewArtifact { hash: &hash, ..artifact("churn") }).await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let state = State::connect(schema.url(), "shop").await.unwrap();
    let versions = state.artifact_numbers(artifact("churn").kind, "churn").await.unwrap();
    assert_eq!(versions, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_ends_all_sessions_is_reached_again() {
    let suite = "postgres::a_server_that_ends_all_sessions_is_reached_again";
    let Some(schema) = Schema::fresh(suite).await else { return };
    let state = State::connect(schema.url(), "shop").await.unwrap();
    let start = run(1);
    for round in 0..5 {
        let number = i64::try_from(round).unwrap();
        state.begin_run(&run(number)).await.unwrap();
        schema.end_sessions().await;
        state
            .record_step(&end(
                &step(&start.run, &format!("silver.t{round}"), StepOutcome::Built),
                Some(&recorded(1)),
            ))
            .await
            .unwrap();
        schema.end_sessions().await;
        assert_eq!(state.recorded().await.unwrap().len(), round + 1);
        schema.end_sessions().await;
        let end = RunEnd {
            run: &run(number).run,
            finished: TimestampMicros(9),
            outcome: RunOutcome::Succeeded,
            publishes: None,
            messages: &[],
        };
        state.finish_run(&end).await.unwrap();
    }
    assert_eq!(state.steps(&start.run).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_commit_whose_answer_got_lost_counts_once() {
    let suite = "postgres::a_commit_whose_answer_got_lost_counts_once";
    let Some(schema) = Schema::fresh(suite).await else { return };
    let way = Way::to(schema.server()).await;
    let state = State::connect(&schema.url().replace(&way.server, &way.address), "shop").await.unwrap();
    for round in 1..=3_i64 {
        way.loses_commits.store(true, Ordering::SeqCst);
        let hash = format!("{round}");
        let made = NewArtifact { hash: &hash, ..artifact("churn") };
        let version = state.record_artifact(&made).await.unwrap();
        assert!(!way.loses_commits.load(Ordering::SeqCst), "the commit did not go this way");
        assert_eq!(
            (version, state.artifacts(made.kind).await.unwrap().len()),
            (round, usize::try_from(round).unwrap())
        );
    }
}

/// A proxy in front of the server that can lose the answer to a commit, together with the connection.
struct Way {
    server: String,
    address: String,
    loses_commits: Arc<AtomicBool>,
}

impl Way {
    async fn to(url: &str) -> Self {
        let server = url.rsplit('@').next().unwrap().split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let loses_commits = Arc::new(AtomicBool::new(false));
        let (target, loses) = (server.clone(), loses_commits.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                tokio::spawn(carry(client, server, loses.clone()));
            }
        });
        Self { server, address, loses_commits }
    }
}

async fn carry(client: TcpStream, server: TcpStream, loses_commits: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from_client.read(&mut bytes).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        let message = &bytes[..read];
        if message.windows(6).any(|word| word == b"COMMIT") && loses_commits.swap(false, Ordering::SeqCst) {
            answers.abort();
            to_server.write_all(message).await.unwrap();
            return tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if to_server.write_all(message).await.is_err() {
            return;
        }
    }
}
