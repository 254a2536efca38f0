//! dynatrail turns AWS CloudTrail archives into a Parquet lake of Amazon DynamoDB events, and answers
//! forensic questions from it.
//!
//! What flows through which module:
//!
//! ```text
//! archive    Selection ─list─► ObjectRef ─plan─► Unit ─fetch─► bytes
//! container  bytes ─inflate, split─► records (text)
//! event      record ─parse, normalise─► Event and its Operations ─► rows in columns
//! select     Event ─► kept, not selected, uncertain
//! lake       rows ─► Parquet parts, receipts, quarantine
//! integrity  digests ─chain, signature, hashes─► whether logs are as CloudTrail delivered them
//! convert    the loop over units that joins them
//! query      lake ─SQL, bound values─► rows
//! report     queries/ ─header, parameters─► rows ─evidence─► one of four answers
//! nightly    what a run from cron remembers and tells beside converting and reporting
//! render     rows and runs of reports ─► terminal, JSON, CSV, Markdown, Parquet, HTML
//! evidence   rows ─► source objects, records, digests and rows in one folder or tar
//! signal     findings of a night, what is missing, a failure ─► who must look, once
//! ```
//!
//! With the feature `cluster`, `cluster` has other machines run what `convert` and `query` do here.
//! `archive`, `container` and `event` know nothing of one another; `convert` joins them.
//! `query`, `report` and `render` see the lake alone.

#![forbid(unsafe_code)]

pub mod archive;
pub mod cli;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod container;
pub mod convert;
pub mod event;
pub mod evidence;
pub mod integrity;
pub mod lake;
pub mod nightly;
pub mod query;
pub mod render;
pub mod report;
pub mod select;
pub mod signal;
