//! Values as the engine reads them, in the server's words.

use millstream_engine::ReadColumn;
use millstream_features::view;
use millstream_server::{AnswerColumn, Status, Statuses};

pub(super) fn column(read: ReadColumn) -> AnswerColumn {
    let first = read.statuses.first().copied();
    let is_uniform = first.is_some_and(|first| read.statuses.iter().all(|status| *status == first));
    let statuses = match first {
        Some(first) if is_uniform => Statuses::Uniform(word(first)),
        _ => Statuses::Each(read.statuses.into_iter().map(word).collect()),
    };
    AnswerColumn { name: read.name, values: read.values, statuses, event_times: read.event_times }
}

fn word(status: view::Status) -> Status {
    match status {
        view::Status::Present => Status::Present,
        view::Status::Null => Status::Null,
        view::Status::Missing => Status::Missing,
        view::Status::Expired => Status::Expired,
        view::Status::Degraded => Status::Degraded,
    }
}
