//! A shop whose lake is on an S3 server behind a bad line, beside one on a disk that got the same files.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{sleep, spawn},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    arrivals::arrive,
    harness::{Folder, assert_same_tables, given},
    s3::{BUCKET, fresh_prefix, make_bucket, storage},
};

const ROUNDS: u32 = 5;
/// How often a run is repeated that meets too many faults and says so.
const TRIES: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_to_the_lake_changes_no_row() {
    let suite = "a lake behind a bad line";
    let Some(endpoint) = given("MILLSTREAM_TEST_S3_ENDPOINT", suite, "no S3 server") else { return };
    make_bucket(&endpoint).await;
    let line = Line::to(&endpoint, 7);
    let (folder, twin) = (Folder::empty(), Folder::empty());
    folder.stdout(&["init", "shop"]);
    twin.stdout(&["init", "shop"]);
    let lake = format!("    lake: s3://{BUCKET}/{}/lake\n    storage:\n", fresh_prefix("faults"));
    let storage = storage(&line.endpoint, 6);
    folder.write("millstream.yaml", &format!("name: shop\nenvironments:\n  default:\n{lake}{storage}"));
    let mut dice = SmallRng::seed_from_u64(7);
    for round in 0..ROUNDS {
        if round > 0 {
            arrive(&folder, &twin, round, &mut dice);
        }
        line.bad.store(true, Ordering::Relaxed);
        run_until_it_succeeds(&folder);
        line.bad.store(false, Ordering::Relaxed);
        twin.stdout(&["run"]);
    }
    let faults = line.faults.load(Ordering::Relaxed);
    assert!(faults >= 40, "only {faults} faults");
    assert!(folder.stdout(&["run"]).contains("up to date"));
    assert_same_tables(&folder, &twin, &twin.tables(), &format!("after {faults} faults"));
}

fn run_until_it_succeeds(folder: &Folder) {
    for _ in 0..TRIES {
        let said = folder.run(&["run"]);
        if said.starts_with("exit: 0") {
            return;
        }
        assert!(said.starts_with("exit: 1") && said.contains("MS-04"), "{said}");
    }
    panic!("no run in {TRIES} succeeded");
}

/// What happens to a request on its way.
#[derive(Clone, Copy)]
enum Fault {
    /// The connection ends before the request is read.
    Refused,
    /// The request is read and goes nowhere.
    Lost,
    /// The server does what is asked, and its answer is lost.
    Unanswered,
    Delayed,
    None,
}

/// A proxy that takes one request per connection.
struct Line {
    endpoint: String,
    bad: Arc<AtomicBool>,
    faults: Arc<AtomicU32>,
}

impl Line {
    /// A line to the server at `endpoint`, which accepts connections until the test process ends.
    fn to(endpoint: &str, seed: u64) -> Self {
        let server = endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (bad, faults) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let line = Self { endpoint, bad: Arc::clone(&bad), faults: Arc::clone(&faults) };
        let dice = Arc::new(Mutex::new(SmallRng::seed_from_u64(seed)));
        spawn(move || {
            for client in listener.incoming().flatten() {
                let fault = if bad.load(Ordering::Relaxed) { draw(&dice) } else { Fault::None };
                if !matches!(fault, Fault::None) {
                    faults.fetch_add(1, Ordering::Relaxed);
                }
                let server = server.clone();
                // A client that gave up is no fault of the line.
                spawn(move || drop(carry(client, &server, fault)));
            }
        });
        line
    }
}

fn draw(dice: &Mutex<SmallRng>) -> Fault {
    match dice.lock().unwrap().random_range(0..100) {
        0..3 => Fault::Refused,
        3..6 => Fault::Lost,
        6..12 => Fault::Unanswered,
        12..20 => Fault::Delayed,
        _ => Fault::None,
    }
}

fn carry(mut client: TcpStream, server: &str, fault: Fault) -> std::io::Result<()> {
    match fault {
        Fault::Refused => return Ok(()),
        Fault::Delayed => sleep(Duration::from_millis(80)),
        Fault::Lost | Fault::Unanswered | Fault::None => {}
    }
    let Some(request) = read_request(&client)? else { return Ok(()) };
    if matches!(fault, Fault::Lost) {
        return Ok(());
    }
    let mut server = TcpStream::connect(server)?;
    server.write_all(&request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    if matches!(fault, Fault::Unanswered) {
        return Ok(());
    }
    client.write_all(&answer)
}

/// The request's head, asking for one answer per connection, and its body.
fn read_request(client: &TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut reader = BufReader::new(client);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        assert!(!lower.starts_with("transfer-encoding:"), "bodies have a length");
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            request.extend_from_slice(line.as_bytes());
        }
    }
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    let head = request.len();
    request.resize(head + length, 0);
    reader.read_exact(&mut request[head..])?;
    Ok(Some(request))
}
