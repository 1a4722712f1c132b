//! The events of a job as they happen, by server-sent events.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt, stream};
use millstream_api::error::ErrorBody;
use tokio::sync::watch;

use super::job::{Job, JobEvent};
use crate::{
    area::Name,
    error::{ApiError, ErrorKind},
    guard::Shared,
};

/// A comment is sent when nothing else was for this long, or for a third of the idle time: proxies close silent
/// connections, and so does this server.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Asks proxies that know the word (nginx does) to pass each event on at once.
const UNBUFFERED: [(&str, &str); 1] = [("x-accel-buffering", "no")];

/// The header by which a client says which event it had last.
const LAST_EVENT_ID: &str = "last-event-id";

/// What the job tells, as server-sent events: what it told so far, what it tells from now on, and at its end `ended`, with the
/// job itself.
///
/// A job tells the events that `run --json` prints, under their own names, whatever its work is. Every step has one
/// `step_finished`; one that never began has no `step_started`, and is `cancelled` in a run that is told to end, else `skipped`.
/// `rows` and `bytes` of `step_progress` only grow within a step. Comments keep the connection
/// alive. A client that lost it sends `Last-Event-ID` and gets what came after; when nothing more will come, the
/// answer is 204.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The number of the last event that was received"),
    ),
    responses(
        (status = 200, description = "Events: `id` is a number, `event` a name, `data` JSON in one line",
         body = String, content_type = "text/event-stream"),
        (status = 204, description = "The job has ended, and all its events were received"),
        (status = 404, description = "MS-1230", body = ErrorBody),
    )
)]
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    Name(id): Name,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = shared.jobs.get(&id)?;
    let next = received(&headers)?.saturating_add(1);
    if let (events, true) = job.events_from(next)
        && events.is_empty()
    {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let stopped = shared.hard_stop.clone().cancelled_owned();
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE.min(shared.limits.idle_time / 3));
    let told = Sse::new(followed(job, next).take_until(stopped)).keep_alive(keep_alive);
    Ok((UNBUFFERED, told).into_response())
}

/// The number of the last event that the client had; 0 is none.
fn received(headers: &HeaderMap) -> Result<u64, ApiError> {
    let Some(sent) = headers.get(LAST_EVENT_ID) else { return Ok(0) };
    sent.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
        let message = "`Last-Event-ID` has to be the number of an event of this job";
        ApiError::new(ErrorKind::Invalid, message).with_field("Last-Event-ID")
    })
}

/// A client that follows a job.
struct Follower {
    job: Arc<Job>,
    changes: watch::Receiver<u64>,
    /// The number of the event after all that were taken.
    next: u64,
    taken: VecDeque<JobEvent>,
    has_ended: bool,
}

/// The events of the job from a number on, until its end.
fn followed(job: Arc<Job>, next: u64) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    let changes = job.changes();
    let follower = Follower { job, changes, next, taken: VecDeque::new(), has_ended: false };
    stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(event) = follower.taken.pop_front() {
                let sent = Event::default().id(event.number.to_string()).event(event.name).data(&*event.data);
                return Some((Ok(sent), follower));
            }
            if follower.has_ended {
                return None;
            }
            // Marked as seen before the look, so that a change after it wakes.
            follower.changes.mark_unchanged();
            let (events, has_ended) = follower.job.events_from(follower.next);
            follower.has_ended = has_ended;
            if let Some(last) = events.last() {
                follower.next = last.number + 1;
                follower.taken.extend(events);
            } else if !has_ended && follower.changes.changed().await.is_err() {
                return None;
            }
        }
    })
}
