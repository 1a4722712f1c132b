//! News of offered steps: those who share a database tell each other when something of theirs changes, so that nobody has to ask again
//! and again.
//!
//! News is a hint. It comes after the change that it is about, may come twice, and may not come at all, so that whoever waits for it looks
//! from time to time all the same: seldom while the database is known to pass news on, and often otherwise.

use tokio::sync::watch;

use crate::State;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferNews {
    /// There are steps that somebody may claim.
    Offered,
    /// Steps have ended.
    Ended,
    /// A webhook was called at a process that does not schedule.
    Called,
}

impl OfferNews {
    #[cfg(feature = "postgres")]
    const ALL: [Self; 3] = [Self::Offered, Self::Ended, Self::Called];

    /// The word on the wire.
    #[cfg(feature = "postgres")]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Ended => "ended",
            Self::Called => "called",
        }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|news| news.as_str() == word)
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// What others have changed, as it comes. What this process changed itself is no news to it. Cloning shares the source, and a clone has heard
/// what the one that it was made of has.
#[derive(Clone, Debug)]
pub struct NewsOfOffers {
    counts: [watch::Receiver<u64>; 3],
    is_passed_on: watch::Receiver<bool>,
    /// Held so that those who wait for news that never comes wait for ever.
    _source: Option<NewsSource>,
}

/// The end by which news is passed on.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "held for those who wait for ever"))]
pub(crate) struct NewsSource {
    counts: [watch::Sender<u64>; 3],
    is_passed_on: watch::Sender<bool>,
}

impl State {
    /// Begins to listen to what others change among offered steps, until everybody has dropped what is returned. Where the database is shared
    /// by no other machine, nothing is ever heard.
    #[must_use]
    pub fn news_of_offers(&self) -> NewsOfOffers {
        self.database.news_of_offers().unwrap_or_else(NewsOfOffers::silent)
    }
}

impl NewsOfOffers {
    fn silent() -> Self {
        let (source, news) = Self::of_source();
        Self { _source: Some(source), ..news }
    }

    pub(crate) fn of_source() -> (NewsSource, Self) {
        let channels = [(); 3].map(|()| watch::channel(0));
        let (is_passed_on, heard) = watch::channel(false);
        let counts = channels.each_ref().map(|(_, receiver)| receiver.clone());
        let source = NewsSource { counts: channels.map(|(sender, _)| sender), is_passed_on };
        (source, Self { counts, is_passed_on: heard, _source: None })
    }

    /// Whether the database is known to pass news on at this moment.
    #[must_use]
    pub fn is_passed_on(&self) -> bool {
        *self.is_passed_on.borrow()
    }

    /// Waits until there is news of this kind that was not waited for before. Nothing is lost when the wait is given up.
    pub async fn heard(&mut self, news: OfferNews) {
        let Some(count) = self.counts.get_mut(news.place()) else { return };
        if count.changed().await.is_err() {
            // Whoever listens has ended with the runtime.
            std::future::pending::<()>().await;
        }
    }
}

impl NewsSource {
    #[cfg(feature = "postgres")]
    pub(crate) fn tell(&self, news: OfferNews) {
        if let Some(count) = self.counts.get(news.place()) {
            count.send_modify(|count| *count += 1);
        }
    }

    /// Whether the database passes news on from now on; gives whether it did before. What came meanwhile may have been missed.
    #[cfg(feature = "postgres")]
    pub(crate) fn set_passed_on(&self, is_passed_on: bool) -> bool {
        let before = self.is_passed_on.send_replace(is_passed_on);
        if is_passed_on && !before {
            OfferNews::ALL.into_iter().for_each(|news| self.tell(news));
        }
        before
    }

    /// Ends when nobody listens any more.
    #[cfg(feature = "postgres")]
    pub(crate) async fn unwanted(&self) {
        self.is_passed_on.closed().await;
    }
}
