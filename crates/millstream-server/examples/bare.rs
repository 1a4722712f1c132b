//! The HTTP stack of `millstream serve` with nothing behind it: reads each request's body and answers with as many bytes
//! as it is told, so that a bench can say how much of a request is Millstream's own.
//!
//! `cargo run --release -p millstream-server --example bare -- 127.0.0.1:6566 1234`

use std::error::Error;

use axum::{Router, body::Bytes, http::header};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("the first argument is an address")?;
    let length: usize = arguments.next().ok_or("the second argument is the length of an answer")?.parse()?;
    let answer = Bytes::from(vec![b' '; length]);
    let app = Router::new().fallback(move |_: Bytes| {
        let answer = answer.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], answer) }
    });
    axum::serve(TcpListener::bind(address).await?, app).await?;
    Ok(())
}
