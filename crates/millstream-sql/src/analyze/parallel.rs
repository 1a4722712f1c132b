//! Work on many items at once, without a pool: analysis is short and starts cold.

use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    thread,
};

/// More threads than this gain nothing on work of this size.
const THREADS_MAX: usize = 8;
/// The number of items from which on a thread is worth its start.
const ITEMS_PER_THREAD: usize = 8;
/// The stack of a thread. Plans nest, and a thread's default stack is small.
const STACK_BYTES: usize = 16 << 20;

/// The results of `work` on every item, in the order of the items.
pub(super) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let helpers = cores.min(THREADS_MAX).min(items.len().div_ceil(ITEMS_PER_THREAD)).saturating_sub(1);
    if helpers == 0 {
        return items.into_iter().map(work).collect();
    }
    let queue = Mutex::new(items.into_iter().enumerate());
    let drain = || {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            match next {
                Some((index, item)) => done.push((index, work(item))),
                None => return done,
            }
        }
    };
    let mut done = thread::scope(|scope| {
        // A thread that cannot be started leaves its share to the others.
        let start = |_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, drain).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(start).collect();
        let mut done = drain();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
