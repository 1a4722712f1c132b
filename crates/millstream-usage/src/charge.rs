//! By which account the thread works, and the processor time that it takes meanwhile.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll},
};

use cpu_time::ThreadTime;

use crate::Account;

thread_local! {
    static CURRENT: RefCell<Option<Account>> = const { RefCell::new(None) };
}

/// A future whose polls are charged to an account.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct Charged<F> {
    /// The account; `None` where the work is nobody's.
    account: Option<Account>,
    work: F,
}

impl Account {
    /// The work, charged to this account from poll to poll, on whichever threads they take place. What is spawned meanwhile is
    /// not part of it, unless it is charged itself.
    pub fn charge<F: Future + Unpin>(&self, work: F) -> Charged<F> {
        Charged { account: Some(self.clone()), work }
    }

    /// Does the work on the calling thread, charged to this account.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let _charge = Charge::begin(self.clone());
        work()
    }
}

impl<F: Future + Unpin> Future for Charged<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { account, work } = self.get_mut();
        let _charge = account.clone().map(Charge::begin);
        Pin::new(work).poll(context)
    }
}

/// The closure, charged to the account of the present work wherever it is called; for threads that are given work.
pub fn charged<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let account = current();
    move || match account {
        Some(account) => account.run(work),
        None => work(),
    }
}

/// The work, charged to the account of the present work; for what is spawned.
pub fn following<F: Future + Unpin>(work: F) -> Charged<F> {
    Charged { account: current(), work }
}

pub(crate) fn current() -> Option<Account> {
    CURRENT.with_borrow(Clone::clone)
}

pub(crate) fn with_current(charge: impl FnOnce(&Account)) {
    CURRENT.with_borrow(|account| account.as_ref().map(charge));
}

/// A stretch of time in which the thread works for one account. It ends when it is dropped, by a panic too.
struct Charge {
    account: Account,
    /// Whom the thread worked for before, whose turn it is again afterwards.
    before: Option<Account>,
    /// The processor time of the thread at the beginning; `None` within a stretch of the same account, whose time this is too.
    began: Option<ThreadTime>,
}

impl Charge {
    fn begin(account: Account) -> Self {
        let before = CURRENT.replace(Some(account.clone()));
        let is_within = before.as_ref().is_some_and(|before| before.is(&account));
        let began = if is_within { None } else { ThreadTime::try_now().ok() };
        Self { account, before, began }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(took) = self.began.and_then(|began| began.try_elapsed().ok()) {
            self.account.add_cpu(took);
        }
        CURRENT.set(self.before.take());
    }
}
