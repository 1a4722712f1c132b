//! Housekeeping while the project is served.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use millstream_engine::{Engine, EngineError, HousekeepingReport, ToldAlarms};
use tokio_util::sync::CancellationToken;

use super::Backend;
use crate::human;

/// How often it is looked whether housekeeping is due.
const EVERY: Duration = Duration::from_secs(30);

/// After so many looks the log is told again what stays untidy.
const LOOKS_PER_ALARM: u32 = 720;

/// Does the housekeeping that is due, until `cancel`. What it is about, it logs.
pub(crate) async fn keep_house(backend: Arc<Backend>, cancel: CancellationToken) {
    let (mut looks, mut told, mut alarms) = (0_u32, None, ToldAlarms::default());
    loop {
        let engine = backend.live().engine.clone();
        let kept = match AssertUnwindSafe(engine.keep_house(cancel.clone())).catch_unwind().await {
            Ok(kept) => kept,
            // The attempt is on record as failed, so that the next one comes after a pause, and alarms go on being told.
            Err(_) => {
                tracing::error!("housekeeping ended by a defect; it is tried again later");
                Ok(None)
            }
        };
        match kept {
            Ok(Some(report)) => {
                log(&report);
                told = None;
            }
            Ok(None) => told = None,
            Err(EngineError::Cancelled) => return,
            // What stays wrong, such as a store that cannot be written, is told once.
            Err(error) if told.as_ref() == Some(&error.told()) => {}
            Err(error) => {
                let code = error.code();
                let error = error.told();
                tracing::warn!(code, error, "housekeeping did not come to its end; it is tried again later");
                told = Some(error);
            }
        }
        if let Err(error) = engine.tell_housekeeping(&mut alarms).await {
            tracing::debug!(code = error.code(), %error, "it is not known how housekeeping goes");
        }
        // The first of them told of itself just now.
        if looks > 0 && looks.is_multiple_of(LOOKS_PER_ALARM) {
            tell_alarms(&engine).await;
        }
        looks = looks.wrapping_add(1);
        drop(engine);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn log(report: &HousekeepingReport) {
    let freed = human::bytes(report.tables.iter().map(|table| table.bytes_freed).sum());
    let compacted: u64 = report.tables.iter().map(|table| table.files_compacted).sum();
    let (run, forgotten, failed) = (report.run.as_str(), report.forgotten.runs, report.failed.len());
    let took = human::duration(report.elapsed);
    tracing::info!(
        run,
        tables = report.tables.len(),
        compacted,
        freed,
        forgotten,
        failed,
        left = report.left,
        took,
        "housekeeping ended"
    );
}

async fn tell_alarms(engine: &Engine) {
    match engine.housekeeping().await {
        Ok(status) => {
            for alarm in status.into_iter().flat_map(|status| status.alarms) {
                tracing::warn!(hint = alarm.hint, "{}", alarm.message);
            }
        }
        Err(error) => {
            tracing::warn!(
                code = error.code(),
                error = error.told(),
                "it is not known how housekeeping goes"
            );
        }
    }
}
