//! A fence around decoders of binary formats, which may panic on content that nobody has written on purpose.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

use millstream_connector::ConnectorError;

thread_local! {
    /// Whether this thread is inside the fence, where a panic is an answer and no accident.
    static IS_FENCED: Cell<bool> = const { Cell::new(false) };
}

static QUIET: Once = Once::new();

/// Runs `decode`; a panic inside becomes an error about the content, and prints nothing.
pub(super) fn guarded<T>(part: &str, decode: impl FnOnce() -> T) -> Result<T, ConnectorError> {
    QUIET.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_FENCED.get() {
                hook(panic);
            }
        }));
    });
    let was_fenced = IS_FENCED.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    IS_FENCED.set(was_fenced);
    decoded.map_err(|_| ConnectorError::Broken {
        part: part.to_owned(),
        reason: "its content makes no sense to the decoder".into(),
    })
}
