//! Files on a web server, one that knows no ranges and one that breaks off.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use millstream_connector::{ConnectorError, ReadRequest, conformance::read_batches};

use crate::folder::{Folder, discover, land, lines, options};

/// Serves `body` at `/data.csv` with the given entity tag and announced length; gives the address.
fn serve(body: &'static [u8], etag: &'static str, announced: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = request.next().unwrap_or_default();
            request.take_while(|line| !line.is_empty()).for_each(drop);
            let found = first.split(' ').nth(1) == Some("/data.csv");
            let status = if found { "200 OK" } else { "404 Not Found" };
            let length = if found { announced } else { 0 };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\netag: {etag}\r\n\
                 last-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            if found && first.starts_with("GET") {
                let _ = stream.write_all(body);
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_file_on_a_web_server_is_read_once() {
    let url = format!("{}/data.csv", serve(b"a,b\n1,x\n2,y\n", "\"v1\"", 12));
    let folder = Folder::new();
    let connector = folder.connector(&options(&url));
    let part = &discover(&*connector, &[]).await.parts[0];
    assert_eq!(part.id, url);
    assert_eq!(connector.describe(part).await.unwrap().len(), 2);
    let (rows, known) = land(&*connector, part, None).await;
    assert_eq!(rows, ["2: a: 1, b: x", "3: a: 2, b: y"]);
    assert_eq!(land(&*connector, part, Some(2)).await.0, ["3: a: 2, b: y"]);
    assert!(discover(&*connector, &[known]).await.parts.is_empty());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_refused() {
    let url = format!("{}/missing.csv", serve(b"", "\"v1\"", 0));
    let error = Folder::new().connector(&options(&url)).discover(&[]).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_a_whole_file() {
    let url = format!("{}/data.csv", serve(b"a,b\n1,x\n2,y\n", "\"v1\"", 5000));
    let connector = Folder::new().connector(&options(&url));
    let part = &discover(&*connector, &[]).await.parts[0];
    let outcome = read_batches(&*connector, part, &ReadRequest::default()).await;
    let failed = matches!(outcome, Err(ConnectorError::Unavailable { .. } | ConnectorError::Changed { .. }));
    assert!(failed, "{:?}", outcome.map(|batches| lines(&batches)));
}
