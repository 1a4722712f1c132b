//! Load over HTTP by known programs: h2load at a constant rate, wrk as fast as answers come.

use std::{fs, path::PathBuf, process::Command};

use serde::Deserialize;

use super::Context;
use crate::{Result, debian, process};

/// Requests of the first second meet cold caches and are left out.
const WARM_UP_MICROS: u64 = 1_000_000;

/// Response times of many requests.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The time of each request, in microseconds.
    each: Vec<u64>,
}

impl Times {
    /// The time in seconds within which `share` of the requests were answered.
    pub(super) fn percentile(&mut self, share: f64) -> f64 {
        self.each.sort_unstable();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among at most some millions"
        )]
        let at = (self.each.len() as f64 * share) as usize;
        let at = at.min(self.each.len().saturating_sub(1));
        #[allow(clippy::cast_precision_loss, reason = "microseconds of one request")]
        self.each.get(at).map_or(f64::NAN, |micros| *micros as f64 / 1e6)
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.each.extend(more.each);
    }
}

/// Requests of one body at a constant rate.
#[derive(Clone, Debug)]
pub(super) struct Rate<'a> {
    pub(super) url: &'a str,
    pub(super) body: &'a str,
    pub(super) connections: u32,
    /// Requests per second over all connections.
    pub(super) per_second: u32,
    pub(super) seconds: u32,
}

/// Errors when a request fails or the rate is not reached: then the times would leave out what could not be sent.
pub(super) fn at_rate(context: &Context<'_>, rate: &Rate<'_>) -> Result<Times> {
    debian::provide("h2load", "nghttp2-client")?;
    let (body, log) = (context.folder.join("request.json"), context.folder.join("h2load.log"));
    fs::write(&body, rate.body)?;
    if log.exists() {
        fs::remove_file(&log)?;
    }
    let each = f64::from(rate.per_second) / f64::from(rate.connections);
    let mut command = Command::new("h2load");
    command.args(["--h1", "-t1", "-H", "content-type: application/json"]);
    command.args([format!("-c{}", rate.connections), format!("--rps={each}"), format!("-D{}", rate.seconds)]);
    command.arg("-d").arg(&body).arg("--log-file").arg(&log).arg(rate.url);
    process::output(&mut command)?;

    let (mut times, mut first, mut last, mut sent) = (Times::default(), u64::MAX, 0, 0_u32);
    for line in fs::read_to_string(&log)?.lines() {
        let mut fields = line.split_whitespace();
        let (Some(at), Some(status), Some(micros)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(format!("h2load logged `{line}`").into());
        };
        if status != "200" {
            return Err(format!("a request was answered with status {status}").into());
        }
        let at: u64 = at.parse()?;
        (first, last, sent) = (first.min(at), last.max(at), sent + 1);
        if at >= first.saturating_add(WARM_UP_MICROS) {
            times.each.push(micros.parse()?);
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
    let reached = f64::from(sent) * 1e6 / last.saturating_sub(first).max(1) as f64;
    if reached < 0.97 * f64::from(rate.per_second) {
        return Err(format!("only {reached:.0} of {} requests per second were sent", rate.per_second).into());
    }
    Ok(times)
}

/// What wrk measured; times in microseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Flood {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
    failed: u64,
}

impl Flood {
    pub(super) fn per_second(&self) -> f64 {
        self.requests / self.seconds
    }
}

/// Every connection sends what the Lua `script` makes as soon as its last request is answered.
pub(super) fn flood(
    context: &Context<'_>,
    url: &str,
    script: &str,
    connections: u32,
    seconds: u32,
) -> Result<Flood> {
    debian::provide("wrk", "wrk")?;
    let script: PathBuf = context.workspace.root.join("crates/xtask/bench").join(script);
    let mut command = Command::new("wrk");
    command.args(["-t1".into(), format!("-c{connections}"), format!("-d{seconds}s"), "--timeout=30s".into()]);
    let text = process::output(command.arg("-s").arg(script).arg(url))?;
    let line = text.lines().rfind(|line| line.starts_with('{')).ok_or("wrk printed no figures")?;
    let flood: Flood = serde_json::from_str(line)?;
    if flood.failed > 0 {
        return Err(format!("{} of {} requests to {url} failed", flood.failed, flood.requests).into());
    }
    Ok(flood)
}
