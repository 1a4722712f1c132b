//! Requests over HTTP.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::Declare;

/// The bounds of the buckets of requests, in seconds.
const REQUEST_BUCKETS: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

/// The figures of all requests.
#[derive(Debug)]
pub(super) struct RequestFigures {
    requests: IntCounterVec,
    seconds: HistogramVec,
    read_seconds: Histogram,
    push_seconds: Histogram,
}

/// The figures of the requests to one path.
#[derive(Clone, Debug)]
pub struct RouteFigures {
    /// Answers by the class of their status, `1xx` first.
    classes: [IntCounter; 5],
    seconds: Histogram,
    /// The figures of all reads, or of all pushes, if the path is one of theirs.
    online: Option<Histogram>,
}

impl RequestFigures {
    pub(super) fn declare(of: &Declare<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: of.counters(
                "millstream_http_requests_total",
                "Requests that were answered, by class of the status.",
                &["route", "status"],
            )?,
            seconds: of.histograms(
                "millstream_http_request_duration_seconds",
                "How long requests took to be answered.",
                &REQUEST_BUCKETS,
                &["route"],
            )?,
            read_seconds: of.histogram(
                "millstream_online_read_duration_seconds",
                "How long reads of features took.",
                &REQUEST_BUCKETS,
            )?,
            push_seconds: of.histogram(
                "millstream_online_push_duration_seconds",
                "How long pushes of rows took.",
                &REQUEST_BUCKETS,
            )?,
        })
    }

    pub(super) fn route(&self, path: &str) -> RouteFigures {
        let class = |class: &str| self.requests.with_label_values(&[path, class]);
        let online = match path {
            "/v1/features/read" | "/get-online-features" => Some(self.read_seconds.clone()),
            "/v1/features/views/{view}/push" | "/push" | "/write-to-online-store" => {
                Some(self.push_seconds.clone())
            }
            _ => None,
        };
        RouteFigures {
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: self.seconds.with_label_values(&[path]),
            online,
        }
    }
}

impl RouteFigures {
    /// Counts a request that was answered.
    pub fn answered(&self, status: u16, took: Duration) {
        let took = took.as_secs_f64();
        let class = usize::from(status / 100).clamp(1, self.classes.len()) - 1;
        if let Some(counter) = self.classes.get(class) {
            counter.inc();
        }
        self.seconds.observe(took);
        if let Some(online) = &self.online {
            online.observe(took);
        }
    }
}
