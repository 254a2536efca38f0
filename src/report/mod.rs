//! Packaged reports: one file of SQL with its header each, run over a lake, and answered.
//!
//! ```text
//! catalogue  queries/<topic>/<name>.sql ─header, template─► Report
//! config     dynatrail.toml ─► what a site says of itself, parameters, suppressions
//! evidence   lake ─► what was listed, read, kept, and recorded at all
//! run        Report + parameters ─query─► rows ─answer─► ReportResult
//! ```

pub mod catalogue;
pub mod config;
mod deliveries;
pub mod evidence;
pub mod finding;
pub mod gather;
pub mod header;
mod history;
pub mod lost;
pub mod parameter;
mod place;
pub mod result;
pub mod rows;
pub mod run;
pub mod standard;
mod suppress;
pub mod template;
