//! The line between one engine and the world. Each call to a store or a source, a touch, passes the line and is a numbered
//! point, at which a test can let the touch fail, or the whole process die.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use millstream_state::{Moment, Watch};
use tokio_util::sync::CancellationToken;

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// A fault that may pass: an error that says so.
    Passing,
    /// A fault that stays: an error that nobody retries.
    Lasting,
    /// The process dies: from here on nothing of it reaches the world any more.
    Death,
}

/// Harm at one point, before the touch took effect or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Injection {
    pub at: usize,
    pub moment: Moment,
    pub harm: Harm,
}

impl fmt::Display for Injection {
    /// The injection in the form that `MILLSTREAM_POINT` takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}:{:?}", self.at, self.moment, self.harm)
    }
}

/// One touch of the world.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub what: String,
    /// Whether the touch changes something, so that the world differs before and after it.
    pub changes: bool,
}

type Aside = Box<dyn FnOnce() + Send>;

/// Counts the touches of one engine, and does harm at one of them.
pub(crate) struct Line {
    injection: Option<Injection>,
    /// The touch at which the process dies when it comes to it first, by its name.
    dies_at: Option<(String, Moment)>,
    seen: Mutex<Seen>,
    dead: CancellationToken,
    /// Calls to the state store that fail until this is lifted.
    refused: Mutex<Vec<&'static str>>,
    /// A call to the state store that panics when it is made next.
    defect: Mutex<Option<&'static str>>,
    /// What is done when a call to the state store is made next.
    aside: Mutex<Option<(&'static str, Aside)>>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("injection", &self.injection).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Seen {
    points: Vec<Point>,
    /// The calls to the state store that are under way, by what they do; the latest is the one that ends.
    calls: HashMap<&'static str, Vec<usize>>,
    struck: bool,
}

impl Line {
    /// A line on which nothing happens.
    pub(crate) fn quiet() -> Arc<Self> {
        Self::new(None)
    }

    pub(crate) fn harmed(injection: Injection) -> Arc<Self> {
        Self::new(Some(injection))
    }

    /// A line on which the process dies at the first touch of this name.
    pub(crate) fn deadly(what: &str, moment: Moment) -> Arc<Self> {
        Arc::new(Self { dies_at: Some((what.to_owned(), moment)), ..Self::of(None) })
    }

    fn new(injection: Option<Injection>) -> Arc<Self> {
        Arc::new(Self::of(injection))
    }

    fn of(injection: Option<Injection>) -> Self {
        Self {
            injection,
            dies_at: None,
            seen: Mutex::default(),
            dead: CancellationToken::new(),
            refused: Mutex::default(),
            defect: Mutex::default(),
            aside: Mutex::default(),
        }
    }

    pub(crate) fn points(&self) -> Vec<Point> {
        self.seen().points.clone()
    }

    /// Whether the point of the injection was reached.
    pub(crate) fn struck(&self) -> bool {
        self.seen().struck
    }

    /// Ends when the process dies.
    pub(crate) async fn died(&self) {
        self.dead.cancelled().await;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Lets the process die, without an injection.
    pub(crate) fn die(&self) {
        self.dead.cancel();
    }

    /// Lets these calls to the state store fail, and no others, until this is said again.
    pub(crate) fn refuse(&self, calls: &[&'static str]) {
        *self.refused.lock().unwrap() = calls.to_vec();
    }

    /// Lets the next such call to the state store panic.
    pub(crate) fn panic_at(&self, call: &'static str) {
        *self.defect.lock().unwrap() = Some(call);
    }

    /// Does something at the moment when such a call to the state store is made next.
    pub(crate) fn once_at(&self, call: &'static str, work: impl FnOnce() + Send + 'static) {
        *self.aside.lock().unwrap() = Some((call, Box::new(work)));
    }

    /// Called for a touch before it takes effect; returns the number of its point.
    pub(crate) fn enter(&self, what: impl FnOnce() -> String, changes: bool) -> Result<usize, Harm> {
        if self.dead.is_cancelled() {
            return Err(Harm::Death);
        }
        let mut seen = self.seen();
        let number = seen.points.len();
        seen.points.push(Point { what: what(), changes });
        self.strike(&mut seen, number, Moment::Before)?;
        Ok(number)
    }

    /// Called for a touch after it took effect.
    pub(crate) fn leave(&self, number: usize) -> Result<(), Harm> {
        if self.dead.is_cancelled() {
            return Err(Harm::Death);
        }
        let mut seen = self.seen();
        self.strike(&mut seen, number, Moment::After)
    }

    /// Carries out one touch.
    pub(crate) async fn pass<T, E>(
        &self,
        what: impl FnOnce() -> String,
        changes: bool,
        error: impl Fn(Harm) -> E,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let number = self.enter(what, changes).map_err(&error)?;
        let done = work.await?;
        self.leave(number).map_err(error)?;
        Ok(done)
    }

    fn strike(&self, seen: &mut Seen, number: usize, moment: Moment) -> Result<(), Harm> {
        if let Some((what, at)) = &self.dies_at
            && *at == moment
            && seen.points[number].what == *what
        {
            seen.struck = true;
            self.dead.cancel();
            return Err(Harm::Death);
        }
        match self.injection {
            Some(injection) if injection.at == number && injection.moment == moment => {
                seen.struck = true;
                if injection.harm == Harm::Death {
                    self.dead.cancel();
                }
                Err(injection.harm)
            }
            _ => Ok(()),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Line {
    fn allows(&self, doing: &'static str, moment: Moment) -> bool {
        let defect = self.defect.lock().unwrap().take_if(|call| *call == doing);
        assert!(defect.is_none(), "a defect of the script");
        if let Some((_, work)) = self.aside.lock().unwrap().take_if(|(call, _)| *call == doing) {
            work();
        }
        if self.refused.lock().unwrap().contains(&doing) {
            return false;
        }
        match moment {
            Moment::Before => {
                let entered = self.enter(|| format!("state: {doing}"), false);
                if let Ok(number) = entered {
                    self.seen().calls.entry(doing).or_default().push(number);
                }
                entered.is_ok()
            }
            Moment::After => {
                let mut seen = self.seen();
                let Some(number) = seen.calls.get_mut(doing).and_then(Vec::pop) else { return true };
                seen.points[number].changes = true;
                drop(seen);
                self.leave(number).is_ok()
            }
        }
    }
}
