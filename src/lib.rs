//! dynatrail turns AWS CloudTrail archives into a Parquet lake of Amazon DynamoDB events.
//!
//! What flows through which module:
//!
//! ```text
//! archive    Selection ─list─► ObjectRef ─plan─► Unit ─fetch─► bytes
//! container  bytes ─inflate, split─► records (text)
//! event      record ─parse, normalise─► Event and its Operations ─► rows in columns
//! select     Event ─► kept, not selected, uncertain
//! lake       rows ─► Parquet parts, receipts, quarantine
//! convert    the loop over units that joins them
//! ```
//!
//! `archive`, `container` and `event` know nothing of one another; `convert` joins them.

#![forbid(unsafe_code)]

pub mod archive;
pub mod cli;
pub mod container;
pub mod convert;
pub mod event;
pub mod lake;
pub mod query;
pub mod render;
pub mod report;
pub mod select;
