//! Says where somebody must look: which findings are new, that coverage has fallen, that a run failed.
//!
//! ```text
//! book     findings of a night + what was known ─turn─► new, continuing, ended
//! config   [[notify]] of dynatrail.toml ─► who is told of what
//! message  what a sink has not been told yet ─► subject, text, JSON
//! deliver  message ─sns, webhook, command─► sent, and written into the book
//! ```
//!
//! Nothing is told twice: the book says of each finding and sink whether it was sent. What was on
//! its way when a run died is sent once more, marked as a possible repetition.

pub mod book;
mod command;
pub mod config;
mod deliver;
mod entry;
mod message;
mod secret;
mod sink;
mod slack;
mod sns;
mod webhook;

pub use book::{Book, BookError, Changes};
pub use config::Notify;
pub use deliver::{Delivery, DeliveryOutcome, deliver};
pub use entry::Change;
pub use sink::{SinkError, Sinks};

use jiff::civil::Date;

use crate::report::finding::{RunFindings, Span};

/// Which event dates a night looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub first: Date,
    /// None where it was up to now.
    pub last: Option<Date>,
    /// Whether somebody asked for these dates: other ones are not left behind by that.
    pub is_back_fill: bool,
}

impl Window {
    fn contains(&self, span: &Span) -> bool {
        self.first <= span.first && self.last.is_none_or(|last| span.last <= last)
    }
}

/// Something that was covered and is not, or that should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageLoss {
    /// What it is, the same from night to night: account, region and kind, say; no counts.
    pub id: String,
    /// What is to be said of it.
    pub sentence: String,
    /// The day that it is about; none where it is about all that was looked at.
    pub date: Option<Date>,
}

/// What a nightly run came to.
#[derive(Debug, Clone, Copy)]
pub struct Night<'n> {
    /// When it began, as a text that sorts by time: `YYYY-MM-DDTHH:MM:SSZ`. The same label again is
    /// the same night done again.
    pub label: &'n str,
    /// The lake as the user named it.
    pub lake: &'n str,
    /// Where the night's reports stand, if anywhere, for a person to open.
    pub place: Option<&'n str>,
    /// None where the run did not come to look at events; then nothing ends but a failure.
    pub window: Option<Window>,
    /// The day on which it began, in UTC.
    pub today: Date,
    /// Empty where the run did not come to its reports; then no finding ends.
    pub findings: &'n RunFindings,
    /// All that is missing now; none where the run did not come to it, and then none ends.
    pub coverage: Option<&'n [CoverageLoss]>,
    /// Why the run failed, if it did.
    pub failure: Option<&'n str>,
}

impl Night<'_> {
    /// All dates that it looked at.
    fn span(&self) -> Span {
        match self.window {
            None => Span::of_day(self.today),
            Some(window) => Span {
                first: window.first,
                last: window.last.unwrap_or(self.today).max(window.first),
            },
        }
    }
}
