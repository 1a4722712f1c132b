//! News by `LISTEN` and `NOTIFY`, on a connection of its own.
//!
//! A pool of connections in front of the server may take `LISTEN` and never pass anything on, so that news counts as passed on only once
//! this process has heard itself.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::stream::{BoxStream, StreamExt};
use tokio_postgres::{AsyncMessage, Client};

use super::{PostgresFault, address::Address};
use crate::{
    OfferNews,
    news::{NewsOfOffers, NewsSource},
};

/// The channel of all projects of a database; each message names its schema.
const CHANNEL: &str = "millstream";

/// By which a process hears itself.
const ECHO: &str = "echo";

/// How soon, at first and at last, a connection that broke is made anew.
const AGAIN_MIN: Duration = Duration::from_millis(200);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// The messages of a connection that listens.
pub(super) type Messages = BoxStream<'static, Result<AsyncMessage, tokio_postgres::Error>>;

/// The statement by which a transaction that commits tells its news. `own` is the name of this process among those that listen, of letters
/// and digits.
pub(super) fn telling(news: &[OfferNews], own: &str) -> String {
    let tell = |news: &OfferNews| statement(news.as_str(), own);
    news.iter().map(tell).collect()
}

/// Begins to listen, on a task that ends when nobody wants to hear any more.
pub(super) fn listen(address: Arc<Address>, own: String) -> NewsOfOffers {
    let (source, news) = NewsOfOffers::of_source();
    tokio::spawn(async move {
        let listening = go_on(&address, &own, &source);
        tokio::select! {
            () = listening => {}
            () = source.unwanted() => {}
        }
    });
    news
}

async fn go_on(address: &Address, own: &str, source: &NewsSource) {
    let mut pauses = again();
    loop {
        // Whoever waits for news looks often while none is passed on, and finds the same fault by other calls.
        let _ = hear(address, own, source).await;
        if source.set_passed_on(false) {
            pauses = again();
        }
        tokio::time::sleep(pauses.next().unwrap_or(AGAIN_MAX)).await;
    }
}

/// Listens on one connection until it breaks.
async fn hear(address: &Address, own: &str, source: &NewsSource) -> Result<(), PostgresFault> {
    let (client, mut messages) = address.listen().await?;
    let begun = begin(&client, own);
    tokio::pin!(begun);
    let mut schema: Option<String> = None;
    loop {
        tokio::select! {
            biased;
            found = &mut begun, if schema.is_none() => schema = Some(found?),
            message = messages.next() => match message {
                Some(message) => take(&message?, own, schema.as_deref(), source),
                None => return Ok(()),
            },
        }
    }
}

/// Listens, and calls to itself. Gives the schema of this project.
async fn begin(client: &Client, own: &str) -> Result<String, PostgresFault> {
    client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
    let schema = client.query_one("SELECT current_schema()::text", &[]).await?.try_get(0)?;
    client.batch_execute(&statement(ECHO, own)).await?;
    Ok(schema)
}

fn statement(word: &str, own: &str) -> String {
    format!("SELECT pg_notify('{CHANNEL}', '{word} {own} ' || current_schema());")
}

fn take(message: &AsyncMessage, own: &str, schema: Option<&str>, source: &NewsSource) {
    let AsyncMessage::Notification(notification) = message else { return };
    let mut words = notification.payload().splitn(3, ' ');
    let (Some(word), Some(by), Some(of)) = (words.next(), words.next(), words.next()) else { return };
    if notification.channel() != CHANNEL {
        return;
    }
    if word == ECHO && by == own {
        source.set_passed_on(true);
    } else if let Some(news) =
        OfferNews::of(word).filter(|_| by != own && schema.is_none_or(|schema| schema == of))
    {
        source.tell(news);
    }
}

fn again() -> impl Iterator<Item = Duration> + use<> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(AGAIN_MIN)
        .with_max_delay(AGAIN_MAX)
        .without_max_times()
        .build()
}
