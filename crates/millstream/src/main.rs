//! The binary: the only place that sees interfaces and implementations together.

mod allocator;

use std::{process::ExitCode, time::Duration};

use millstream_cli::{Exit, Invocation};
use tokio_util::sync::CancellationToken;

/// The bytes of the stack of each thread that may plan. The longest expression that is taken nests some thousand deep; a stack
/// takes memory only as far as it was used.
const STACK_BYTES: usize = 32 << 20;

/// How long threads have to end. Those without work end at once.
const THREADS_END: Duration = Duration::from_millis(100);

/// The exit code that a shell expects of a process that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let invocation = match millstream_cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(exit) => return exit.into(),
    };
    // The work has a thread of its own, because the system decides on the size of the first thread's stack.
    let worked = std::thread::Builder::new()
        .name("main".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || work(invocation).unwrap_or_else(|error| millstream_cli::cannot_start(&error)));
    match worked {
        Ok(work) => work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).into(),
        Err(error) => millstream_cli::cannot_start(&error).into(),
    }
}

fn work(invocation: Invocation) -> std::io::Result<Exit> {
    // A server plans on any of them: projects that are loaded again, runs, queries.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()?;
    let cancel = CancellationToken::new();
    hear_signals(cancel.clone())?;
    let exit = runtime.block_on(millstream_cli::run(invocation, millstream_connectors::connectors(), cancel));
    // Threads that end are joined rather than detached: the C library may touch the stack of a thread that ends while it
    // is detached. Work that was cancelled may still sit in a blocking call, and nothing waits longer for its result.
    runtime.shutdown_timeout(THREADS_END);
    Ok(exit)
}

/// Listens on a thread of its own, so that signals are heard however busy the others are.
fn hear_signals(cancel: CancellationToken) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listen = move || runtime.block_on(stop_on_signal(cancel));
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map(drop)
}

#[allow(clippy::disallowed_methods, reason = "who asks twice wants no destructors to wait for")]
fn end_at_once() -> ! {
    std::process::exit(EXIT_INTERRUPTED)
}

/// The first Ctrl-C (or SIGTERM) asks for a clean stop, the second ends the process.
async fn stop_on_signal(cancel: CancellationToken) {
    signal().await;
    millstream_cli::tell_stopping();
    cancel.cancel();
    signal().await;
    end_at_once()
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without this handler, the signal ends the process at once, as it ends any program.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
