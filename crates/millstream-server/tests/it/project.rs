//! The project that is at work, and loading it again.

use crate::client::{options, start};

#[tokio::test]
async fn a_project_is_loaded_again_or_stays_as_it_was() {
    let server = start(options()).await;
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/v1/project"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/reload"),
        ("GET", "/v1/project"),
        ("GET", "/v1/reload"),
    ] {
        let answer = if method == "GET" { server.get(path).await } else { server.post(path, "").await };
        shown.push_str(&format!("{method} {path}\n{} {}\n\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
}
