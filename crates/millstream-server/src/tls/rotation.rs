//! Certificates are renewed while a server runs: it looks at the two files, and takes over a new pair that is sound.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Present, TlsFiles,
    pair::{Pair, Texts, TlsError},
};

/// How often the files are looked at. They are small.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long before its end a certificate that was not renewed is warned of, in microseconds, and how often.
const WARN_BEFORE: i64 = 7 * 24 * 60 * 60 * 1_000_000;
const WARN_EVERY: i64 = 12 * 60 * 60 * 1_000_000;

/// The files of the present pair, and how far they were looked at.
pub(crate) struct Rotation {
    files: TlsFiles,
    present: Arc<Present>,
    /// What was in the files when they were last taken over.
    taken: Texts,
    /// The end of the present certificate, in microseconds since 1970.
    until: Option<i64>,
    /// What was found last and could not be taken over.
    refused: Option<Refused>,
    /// When the end of the certificate was last warned of.
    warned: Option<i64>,
}

/// A state of the files that cannot be served.
struct Refused {
    /// `None` where a file could not be read.
    texts: Option<Texts>,
    is_told: bool,
}

impl Rotation {
    pub(super) fn of(files: TlsFiles, present: Arc<Present>, taken: Texts, until: Option<i64>) -> Self {
        Self { files, present, taken, until, refused: None, warned: None }
    }

    /// Looks at the files until `cancel`; `now` tells the time in microseconds since 1970.
    pub(crate) async fn go_on(mut self, now: impl Fn() -> i64 + Send, cancel: CancellationToken) {
        loop {
            self.warn_of_end(now());
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || Texts::read(&files)).await;
            if let Ok(read) = read {
                self.look(read, now());
            }
        }
    }

    fn look(&mut self, read: Result<Texts, TlsError>, now: i64) {
        let texts = match read {
            Ok(texts) if texts == self.taken => {
                self.refused = None;
                return;
            }
            Ok(texts) => texts,
            Err(error) => return self.refuse(None, &error),
        };
        match texts.pair(&self.files, now) {
            Ok(Pair { key, until }) => {
                self.present.0.store(Arc::new(key));
                (self.taken, self.until, self.refused, self.warned) = (texts, until, None, None);
                let certificate = self.files.certificate.display();
                tracing::info!(%certificate, "a new certificate is served from now on");
            }
            Err(error) => self.refuse(Some(texts), &error),
        }
    }

    /// The pair of before stays. It is told when the same state was found twice: between the writing of one file and the other,
    /// no pair is sound.
    fn refuse(&mut self, texts: Option<Texts>, error: &TlsError) {
        match &mut self.refused {
            Some(refused) if refused.texts == texts => {
                if !std::mem::replace(&mut refused.is_told, true) {
                    let hint = error.hint();
                    let cause = std::error::Error::source(error).map(ToString::to_string);
                    tracing::warn!(%error, cause, hint, "the certificate of before is still served");
                }
            }
            _ => self.refused = Some(Refused { texts, is_told: false }),
        }
    }

    fn warn_of_end(&mut self, now: i64) {
        let Some(until) = self.until.filter(|until| until - now < WARN_BEFORE) else { return };
        if self.warned.is_some_and(|warned| now - warned < WARN_EVERY) {
            return;
        }
        self.warned = Some(now);
        let (certificate, hours) = (self.files.certificate.display(), (until - now) / 3_600_000_000);
        tracing::warn!(%certificate, hours, "the certificate is about to end, or has ended, and was not renewed");
    }
}
