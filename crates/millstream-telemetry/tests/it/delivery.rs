//! Messages reach a receiver once it takes them, and a refusal says whether it will pass.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread::JoinHandle,
};

use millstream_telemetry::{Delivery, DeliveryError};
use millstream_types::Secret;

/// A receiver that answers each request with the next of `statuses`, and gives back what it was sent.
fn receiver(statuses: &'static [u16]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1/lineage?key=hidden", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for status in statuses {
            requests.push(request(&mut reader));
            answer(&mut stream, *status);
        }
        requests
    });
    (url, thread)
}

fn request(reader: &mut BufReader<TcpStream>) -> String {
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.starts_with("post") || line.starts_with("authorization") || line.starts_with("content-type") {
            text.push_str(&format!("{line}\n"));
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

fn answer(stream: &mut TcpStream, status: u16) {
    let (more, body) = match status {
        429 => ("retry-after: 17\r\n", ""),
        503 => ("retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", ""),
        200 => ("content-type: application/json\r\n", "{\"partialSuccess\":{}}"),
        _ => ("", ""),
    };
    let head = format!("HTTP/1.1 {status} X\r\n{more}content-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).unwrap();
}

#[tokio::test]
async fn what_a_receiver_answers_is_told() {
    let (url, thread) = receiver(&[200, 204, 429, 503]);
    let delivery = Delivery::http(&url, None).unwrap();
    let answers = [delivery.deliver("{}".to_owned()).await, delivery.deliver("{}".to_owned()).await];
    assert_eq!(answers.map(Result::unwrap), ["{\"partialSuccess\":{}}", ""]);
    let waits = [delivery.deliver("{}".to_owned()).await, delivery.deliver("{}".to_owned()).await];
    let waits = waits.map(|refused| refused.unwrap_err().retry_after().map(|wait| wait.as_secs()));
    assert_eq!(waits, [Some(17), None]);
    thread.join().unwrap();
}

#[tokio::test]
async fn a_message_is_posted_with_its_token() {
    let (url, thread) = receiver(&[201, 503, 422]);
    let token = Secret::new("a-token-of-ours".to_owned());
    let delivery = Delivery::http(&url, Some(token)).unwrap();
    delivery.deliver(r#"{"a":1}"#.to_owned()).await.unwrap();
    let away = delivery.deliver("{}".to_owned()).await.unwrap_err();
    assert!(!away.is_lasting(), "{away}");
    let refused = delivery.deliver("{}".to_owned()).await.unwrap_err();
    assert!(refused.is_lasting(), "{refused}");
    assert_eq!(refused.to_string(), "`127.0.0.1` answers with 422 Unprocessable Entity");
    let requests = thread.join().unwrap();
    let expected = "post /api/v1/lineage?key=hidden http/1.1\n\
                    content-type: application/json\nauthorization: bearer a-token-of-ours\n{\"a\":1}";
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&requests[0]), sorted(expected));
}

#[tokio::test]
async fn a_receiver_that_is_away_shows_nothing_of_its_address() {
    // The listener is gone at once, so that nobody answers at its port.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let delivery = Delivery::http(&format!("http://127.0.0.1:{port}/?key=hidden"), None).unwrap();
    let error = delivery.deliver("{}".to_owned()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable { .. }) && !error.is_lasting());
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        told.push_str(&format!(": {error}"));
        cause = error.source();
    }
    assert!(!told.contains("hidden"), "{told}");
}

#[tokio::test]
async fn lines_are_appended_after_a_torn_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/lineage.jsonl");
    let delivery = Delivery::file(path.clone());
    delivery.deliver("{\"a\":1}".to_owned()).await.unwrap();
    // A process died in the midst of a line.
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{{\"b\"")).unwrap();
    delivery.deliver("{\"b\":2}".to_owned()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\"\n{\"b\":2}\n");
    let blocked = Delivery::file(path.join("below/a/file"));
    let error = blocked.deliver("{}".to_owned()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::File { .. }) && !error.is_lasting());
}

#[tokio::test]
async fn an_answer_is_about_the_message_or_about_the_receiver() {
    let statuses = &[500, 409, 415, 431, 301, 401, 403, 404, 408, 429, 502, 503, 504];
    let (url, thread) = receiver(statuses);
    let delivery = Delivery::http(&url, None).unwrap();
    let mut of_message = Vec::new();
    for status in statuses {
        let refused = delivery.deliver("{}".to_owned()).await.unwrap_err();
        assert!(!refused.is_lasting(), "{refused}");
        of_message.extend(refused.may_be_of_message().then_some(*status));
    }
    thread.join().unwrap();
    assert_eq!(of_message, statuses[..4]);
}
