//! The allocator, and how long it holds on to memory that is free.

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's C header, which the binding does not name.
const PURGE_DELAY: mi_option_t = 15;
const PURGE_DELAY_MS: i64 = 10_000;

/// Makes the allocator keep freed memory for a while. Batches are made and dropped all the time. When their memory goes
/// back to the system after the usual 10 ms, the kernel clears it again for each batch, which was a quarter of the time
/// of landing Parquet.
pub(crate) fn keep_freed_memory() {
    #[allow(unsafe_code, reason = "an integer option, set before any thread is started")]
    // SAFETY: the call stores a number under an index that the library has.
    unsafe {
        mi_option_set(PURGE_DELAY, PURGE_DELAY_MS);
    }
}
