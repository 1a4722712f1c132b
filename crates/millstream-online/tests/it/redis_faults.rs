//! A Redis server that is not there, refuses, forgets or goes away. Each test starts a server of its own.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use millstream_online::{
    Append, Change, Load, OnlineError, RedisOptions, ReplicaWait, StoreOptions, Update, open,
};
use tempfile::TempDir;

use crate::place::{Place, Store, add_one, counts, entity, given, key, put, texts};

/// A server on a free port; ends with this value.
struct Server {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// None, and a note of it, where the program is missing.
    fn start(test: &str, arguments: &[&str]) -> Option<Self> {
        // Given together with the program.
        given("MILLSTREAM_TEST_REDIS", test, "no Redis server")?;
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let folder = TempDir::new().unwrap();
        let process = run(port, &folder, arguments);
        Some(Self { process, port, folder })
    }

    fn restart(&mut self) {
        self.stop();
        self.process = run(self.port, &self.folder, &[]);
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn open(&self, options: RedisOptions) -> Result<Store, OnlineError> {
        self.open_as("", options).await
    }

    async fn open_as(&self, user: &str, redis: RedisOptions) -> Result<Store, OnlineError> {
        let url = format!("redis://{user}127.0.0.1:{}/", self.port);
        open(&url, &StoreOptions { redis, ..StoreOptions::default() }).await
    }

    fn command(&self, arguments: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        let mut command = redis::Cmd::new();
        command.arg(arguments);
        command.query(&mut client.get_connection()?)
    }
}

fn run(port: u16, folder: &TempDir, arguments: &[&str]) -> Child {
    let process = Command::new("redis-server")
        .args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < HANG, "the server did not start");
        thread::sleep(Duration::from_millis(20));
    }
    process
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Longer than anything here takes on a machine that stands still for a while: only what never ends takes so long.
const HANG: Duration = Duration::from_secs(300);

/// Options that do not make a test wait.
fn quick() -> RedisOptions {
    RedisOptions {
        connect_timeout: Duration::from_millis(500),
        timeout: Duration::from_secs(1),
        retries: 2,
        ..RedisOptions::default()
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let url = format!("redis://:secret@127.0.0.1:{port}/");
    let started = Instant::now();
    let error = open(&url, &StoreOptions { redis: quick(), ..StoreOptions::default() }).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("MS-1008", true), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    assert!(started.elapsed() < HANG);
    let error = open("redis://:secret@host:port/", &StoreOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "MS-1001");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_called_that() {
    let Some(server) = Server::start("a_wrong_password_is_called_that", &["--requirepass", "right"]) else {
        return;
    };
    for user in [":wrong@", ""] {
        let error = server.open_as(user, quick()).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("MS-1007", false), "{error:?}");
        assert!(!format!("{error:?}").contains("wrong@"), "{error:?}");
    }
    let store = server.open_as(":right@", quick()).await.unwrap();
    assert!(!store.location().contains("right"), "{}", store.location());
}

#[tokio::test]
async fn a_server_with_another_format_is_left_alone() {
    let Some(server) = Server::start("a_server_with_another_format_is_left_alone", &[]) else { return };
    server.command(&["SET", "millstream:format", "9"]).unwrap();
    assert_eq!(server.open(quick()).await.unwrap_err().code(), "MS-1004");
    let error = server.open(RedisOptions { prefix: "a{b".into(), ..quick() }).await.unwrap_err();
    assert_eq!(error.code(), "MS-1001");
}

#[tokio::test]
async fn a_full_server_says_so() {
    let Some(server) = Server::start("a_full_server_says_so", &[]) else { return };
    let store = server.open(quick()).await.unwrap();
    put(&store, 1, &[("a", "old")]).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let error = add_one(&store, 2, &[entity("a")], &[], None, true).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("MS-1006", false), "{error:?}");
    assert_eq!(texts(&store, &[(1, "a")]).await, ["old"]);
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let Some(mut server) = Server::start("a_server_that_comes_back_is_used_again", &[]) else { return };
    let store = server.open(quick()).await.unwrap();
    put(&store, 1, &[("a", "old")]).await;
    server.stop();
    let started = Instant::now();
    let error = store.read(&[key(1, "a")]).await.unwrap_err();
    assert!(["MS-1008", "MS-1009"].contains(&error.code()), "{error:?}");
    assert!(error.retryable() && started.elapsed() < HANG);
    let error = add_one(&store, 1, &[entity("a")], &[], None, true).await.unwrap_err();
    assert!(error.retryable(), "nothing was stored: {error:?}");
    server.restart();
    // The first calls may still get the news of the broken connection.
    let deadline = Instant::now() + HANG;
    while store.read(&[key(1, "a")]).await.is_err() {
        assert!(Instant::now() < deadline);
    }
    // The new process has neither the records nor the scripts.
    assert_eq!(texts(&store, &[(1, "a")]).await, ["-"]);
    let entries = [bytes::Bytes::from_static(b"entry")];
    let append = Append { log: "log", entries: &entries };
    add_one(&store, 1, &[entity("b")], &[], Some(append), true).await.unwrap();
    assert_eq!(counts(&store, 1, &[entity("b")]).await, [1]);
}

#[tokio::test]
async fn damaged_records_are_reported() {
    let Some(server) = Server::start("damaged_records_are_reported", &[]) else { return };
    let store = server.open(quick()).await.unwrap();
    put(&store, 1, &[("whole", "w")]).await;
    let space = "\0\0\0\0\0\0\0\u{1}";
    for (name, stored) in [
        ("short", "\u{1}abc"),
        ("other", "\u{1}12345678record"),
        ("later", "\u{2}12345678record"),
        ("empty", ""),
    ] {
        server.command(&["HSET", &format!("millstream:e:{{{name}}}"), space, stored]).unwrap();
        let error = store.read(&[key(1, "whole"), key(1, name)]).await.unwrap_err();
        assert_eq!(error.code(), "MS-1003", "{name}: {error:?}");
        let error = add_one(&store, 1, &[entity(name)], &[], None, true).await.unwrap_err();
        assert_eq!(error.code(), "MS-1003", "{name}: {error:?}");
        // A load repairs it.
        let records = vec![(entity(name), b"again".to_vec())];
        store.load(Load { space: 1, records, marks: &[] }).await.unwrap();
        assert_eq!(texts(&store, &[(1, "whole"), (1, name)]).await, ["w", "again"]);
    }
}

#[tokio::test]
async fn too_few_replicas_are_reported_for_durable_updates_only() {
    let Some(server) = Server::start("too_few_replicas_are_reported_for_durable_updates_only", &[]) else {
        return;
    };
    let wait = ReplicaWait { replicas: 1, timeout: Duration::from_millis(50) };
    let store = server.open(RedisOptions { wait: Some(wait), ..quick() }).await.unwrap();
    let a = [entity("a")];
    add_one(&store, 1, &a, &[], None, false).await.unwrap();
    let error = add_one(&store, 1, &a, &[], None, true).await.unwrap_err();
    assert!(matches!(error, OnlineError::Replicas { wanted: 1, found: 0 }), "{error:?}");
    assert!(!error.retryable());
    assert_eq!(counts(&store, 1, &a).await, [2], "the update itself is stored");
}

/// Two processes that change the same records: each works changes out again until nobody came in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_two_processes_are_not_lost() {
    let Some(place) = Place::server("changes_of_two_processes_are_not_lost") else { return };
    let stores = [place.open().await, place.open().await, place.open().await];
    let entities: Arc<Vec<_>> = Arc::new(["a", "b", "c"].map(entity).to_vec());
    let mut tasks = tokio::task::JoinSet::new();
    for store in &stores {
        let (store, entities) = (store.clone(), entities.clone());
        tasks.spawn(async move {
            for _ in 0..100 {
                add_one(&store, 1, &entities, &[], None, true).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(counts(&stores[0], 1, &entities).await, [300; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_record_that_others_always_change_first_is_given_up() {
    let Some(place) = Place::server("a_record_that_others_always_change_first_is_given_up") else { return };
    let (store, other) = (place.open().await, place.open().await);
    let a = [entity("a")];
    let mut attempts = 0;
    let mut change = |_: usize, _: Option<&[u8]>| {
        attempts += 1;
        // Another process is faster, every time.
        let other = other.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { put(&other, 1, &[("a", &format!("{attempts}"))]).await });
        })
        .join()
        .unwrap();
        Ok(Change::Put(b"never".to_vec()))
    };
    let update =
        Update { space: 1, entities: &a, change: &mut change, marks: &[], append: None, durable: false };
    let error = tokio::time::timeout(HANG, store.update(update)).await.unwrap().unwrap_err();
    assert!(!error.retryable() || error.code() == "MS-1011", "{error:?}");
    assert!(attempts > 1);
}

/// Connections break at random moments: what is acknowledged took place once, and what fails without doubt did not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_nothing_and_repeat_nothing() {
    let Some(server) = Server::start("broken_connections_lose_nothing_and_repeat_nothing", &[]) else {
        return;
    };
    let store = server.open(RedisOptions { retries: 6, ..quick() }).await.unwrap();
    let killer = tokio::spawn({
        let store = store.clone();
        async move {
            let (mut acknowledged, mut unknown) = (0, 0);
            for _ in 0..2_000 {
                match add_one(&store, 1, &[entity("a")], &[], None, true).await {
                    Ok(_) => acknowledged += 1,
                    Err(error) if error.retryable() => {}
                    Err(OnlineError::OutcomeUnknown { .. }) => unknown += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            (acknowledged, unknown)
        }
    });
    let mut kills = 0;
    while !killer.is_finished() {
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
        kills += 1;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let (acknowledged, unknown) = killer.await.unwrap();
    let found = counts(&store, 1, &[entity("a")]).await[0];
    assert!(
        (acknowledged..=acknowledged + unknown).contains(&found),
        "{found} stored, {acknowledged} acknowledged, {unknown} unknown, {kills} connections broken"
    );
    assert!(acknowledged > 100, "{acknowledged} acknowledged, {kills} connections broken");
}
