//! What is charged to whom.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::{hint::black_box, time::Duration};

use futures::FutureExt;
use millstream_usage::{Account, Usage, called, charged, counts_bytes, read, wrote};

/// Keeps the processor busy until the thread has taken some time.
fn toil() {
    let began = cpu_time::ThreadTime::now();
    while began.elapsed() < Duration::from_millis(5) {
        black_box((0..1_000_u64).map(black_box).sum::<u64>());
    }
}

#[test]
fn work_is_charged_on_every_thread_and_to_nobody_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (first, second) = (Account::default(), Account::default());
    let work = |bytes: u64| {
        async move {
            toil();
            read(bytes);
            tokio::task::yield_now().await;
            called();
            let blocking = charged(move || {
                toil();
                wrote(bytes + 1);
            });
            tokio::task::spawn_blocking(blocking).await.unwrap();
        }
        .boxed()
    };
    runtime.block_on(async {
        let (one, other) = (tokio::spawn(first.charge(work(10))), tokio::spawn(second.charge(work(20))));
        one.await.unwrap();
        other.await.unwrap();
        // Nobody's work is in no account.
        read(1_000);
        wrote(1_000);
    });
    for (account, bytes) in [(first, 10), (second, 20)] {
        let usage = account.usage();
        assert!(usage.cpu >= Duration::from_millis(10), "{usage:?}");
        assert!(usage.cpu < Duration::from_secs(5), "{usage:?}");
        let rest = Usage { cpu: Duration::ZERO, ..usage };
        let expected =
            Usage { bytes_read: Some(bytes), bytes_written: Some(bytes + 1), calls: 1, ..Usage::default() };
        assert_eq!(rest, expected);
    }
}

#[test]
fn work_within_work_of_the_same_account_counts_once() {
    let account = Account::default();
    let began = cpu_time::ThreadTime::now();
    account.run(|| {
        toil();
        account.run(toil);
        Account::current().unwrap().run(toil);
    });
    let took = began.elapsed();
    let cpu = account.usage().cpu;
    assert!(cpu >= Duration::from_millis(15) && cpu <= took, "{cpu:?} of {took:?}");
    assert!(Account::current().is_none());
}

#[test]
fn a_panic_ends_the_charge() {
    let account = Account::default();
    let caught = std::panic::catch_unwind(|| account.run(|| std::panic::resume_unwind(Box::new(1))));
    assert!(caught.is_err());
    assert!(Account::current().is_none());
}

#[test]
fn memory_is_known_where_it_is_counted() {
    let account = Account::default();
    assert_eq!(account.usage().memory_peak, None);
    account.count_memory();
    assert_eq!(account.usage().memory_peak, Some(0));
    account.grow(10);
    account.grow(5);
    account.shrink(12);
    account.grow(1);
    assert_eq!(account.usage().memory_peak, Some(15));
}

#[test]
fn bytes_are_known_where_they_are_counted() {
    let account = Account::default();
    let bytes = |account: &Account| (account.usage().bytes_read, account.usage().bytes_written);
    assert_eq!(bytes(&account), (None, None));
    account.run(|| read(3));
    assert_eq!(bytes(&account), (Some(3), None));
    account.run(counts_bytes);
    assert_eq!(bytes(&account), (Some(3), Some(0)));
}
