//! The rows of a table as they become visible, by server-sent events.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use arrow::array::RecordBatch;
use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt, stream};
use millstream_api::error::ErrorBody;

use super::{CommittedRows, RowPlace, TableFollower};
use crate::{
    area::Name,
    error::{ApiError, ErrorKind},
    guard::Shared,
    wire::json::{ColumnWriter, object, plain},
};

/// A comment is sent when nothing else was for this long, or for a third of the idle time: proxies close silent connections, and so does this server.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Asks proxies that know the word (nginx does) to pass each event on at once.
const UNBUFFERED: [(&str, &str); 1] = [("x-accel-buffering", "no")];

/// The header by which a client says which event it had last.
const LAST_EVENT_ID: &str = "last-event-id";

/// The rows of a table as they become visible, as server-sent events.
///
/// Each row is an event `row` with the row as a JSON object; of a table whose rows take the place of others by a key, it is the row as it is from then on. A client that lost the connection sends `Last-Event-ID` and gets what came after, as long as the versions are kept. Rows are read from the
/// table when the client takes them, so that one that is slow holds up nobody; one for which rows are no longer kept gets a last event `error`.
/// Comments keep the connection alive.
#[utoipa::path(
    get,
    path = "/v1/stream/{table}",
    tag = "streams",
    params(
        ("table" = String, Path, description = "The table's name, such as `silver.orders`"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received"),
    ),
    responses(
        (status = 200, description = "Events: `id` is the place of a row, `event` a name, `data` JSON in one line",
         body = String, content_type = "text/event-stream"),
        (status = 404, description = "MS-1232", body = ErrorBody),
        (status = 422, description = "MS-1202", body = ErrorBody),
    )
)]
pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    Name(table): Name,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let follower = shared.backends.pipelines.follow(&table, received(&headers)?).await?;
    let stopped = shared.hard_stop.clone().cancelled_owned();
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE.min(shared.limits.idle_time / 3));
    let told = Sse::new(followed(follower).take_until(stopped)).keep_alive(keep_alive);
    Ok((UNBUFFERED, told).into_response())
}

/// The place of the last row that the client had.
fn received(headers: &HeaderMap) -> Result<Option<RowPlace>, ApiError> {
    let Some(sent) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let place = sent.to_str().ok().and_then(|text| text.trim().parse().ok());
    place.map(Some).ok_or_else(|| {
        let message = "`Last-Event-ID` has to be the id of an event of this table, such as `12-340`";
        ApiError::new(ErrorKind::Invalid, message).with_field("Last-Event-ID")
    })
}

/// A client that follows a table.
struct Client {
    follower: Box<dyn TableFollower>,
    waiting: VecDeque<(RowPlace, String)>,
    has_ended: bool,
}

fn followed(
    follower: Box<dyn TableFollower>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    let client = Client { follower, waiting: VecDeque::new(), has_ended: false };
    stream::unfold(client, |mut client| async move {
        loop {
            if let Some((place, data)) = client.waiting.pop_front() {
                let event = Event::default().id(place.to_string()).event("row").data(data);
                return Some((Ok(event), client));
            }
            if client.has_ended {
                return None;
            }
            let taken = client.follower.next().await.and_then(|rows| lines(&rows));
            match taken {
                Ok(lines) => client.waiting.extend(lines),
                Err(error) => {
                    client.has_ended = true;
                    let told = serde_json::to_string(&error.body()).unwrap_or_default();
                    return Some((Ok(Event::default().event("error").data(told)), client));
                }
            }
        }
    })
}

/// Each of the rows as JSON in one line, with its place.
fn lines(CommittedRows { first, rows }: &CommittedRows) -> Result<Vec<(RowPlace, String)>, ApiError> {
    let failed = |error: arrow::error::ArrowError| ApiError::new(ErrorKind::Internal, error.to_string());
    let columns: Vec<_> = rows.columns().iter().map(plain).collect::<Result<_, _>>().map_err(failed)?;
    let writers: Vec<ColumnWriter<'_>> = columns
        .iter()
        .map(|column| ColumnWriter::new(column.as_ref()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let names = names(rows);
    let mut lines = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let mut line = Vec::new();
        object(&mut line, names.iter().zip(&writers), |out, writer| writer.write(out, row));
        let place = RowPlace { row: first.row + row as u64, ..*first };
        lines.push((place, String::from_utf8_lossy(&line).into_owned()));
    }
    Ok(lines)
}

fn names(rows: &RecordBatch) -> Vec<String> {
    rows.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
}
