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
mod message;
mod secret;
mod sink;
mod slack;
mod sns;
mod webhook;

pub use book::{Book, BookError, Change, Changes};
pub use config::Notify;
pub use deliver::{Delivery, DeliveryOutcome, deliver};
pub use sink::{SinkError, Sinks};

use crate::report::finding::RunFindings;

/// Something that was covered and is not, or that should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageLoss {
    /// What it is, the same from night to night: account, region and kind, say; no counts.
    pub id: String,
    /// What is to be said of it.
    pub sentence: String,
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
    /// Empty where the run did not come to its reports; then no finding ends.
    pub findings: &'n RunFindings,
    /// All that is missing now; none where the run did not come to it, and then none ends.
    pub coverage: Option<&'n [CoverageLoss]>,
    /// Why the run failed, if it did.
    pub failure: Option<&'n str>,
}
