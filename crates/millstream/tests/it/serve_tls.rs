//! A server that speaks TLS, as an operator starts it and a health check asks it.

use std::{fs, path::Path};

use crate::{harness::Folder, serve_process::Server};

fn sample(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../millstream-server/tests/data/tls").join(name),
    )
    .unwrap()
}

fn folder(certificate: &str, key: &str) -> Folder {
    let (certificate, key) = (sample(&format!("{certificate}.cert.pem")), sample(&format!("{key}.key.pem")));
    Folder::with(&[("millstream.yaml", "name: secured\n"), ("cert.pem", &certificate), ("key.pem", &key)])
}

const FILES: [&str; 4] = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];

#[test]
fn a_server_speaks_tls_and_a_health_check_asks_it() {
    let folder = folder("first", "first");
    let server = Server::start_with(&folder, &FILES);
    let said = folder.run(&["health", "--tls", "--address", &server.address]);
    assert!(said.starts_with("exit: 0"), "{said}");
    let said = folder.run(&["health", "--address", &server.address]);
    assert!(said.starts_with("exit: 1") && said.contains("this port speaks TLS"), "{said}");
    let answer = server.get("/health");
    assert_eq!(answer.refusal().1, "MS-1276");
    server.stop();
    let log = crate::serve_process::log(&folder);
    assert!(log.contains("a client did not speak TLS on a port that does"), "{log}");
}

#[test]
fn a_pair_that_cannot_be_served_is_said_at_once() {
    let mismatched = folder("first", "second");
    let said = mismatched.run(&[&["serve"][..], &FILES].concat());
    assert!(said.starts_with("exit: 2") && said.contains("error[MS-1275]"), "{said}");
    assert!(said.contains("the key of `key.pem` is not that of the certificate of `cert.pem`"), "{said}");
    let over = folder("over", "over");
    let said = over.run(&[&["serve"][..], &FILES].concat());
    assert!(said.contains("is over since 2021-01-01 00:00:00 UTC"), "{said}");
    let said = over.run(&["serve", "--tls-cert", "cert.pem"]);
    assert!(said.starts_with("exit: 2") && said.contains("--tls-key"), "{said}");
}
