//! Decodes records into events and operations, and events into columns.
//!
//! ```text
//! parse      text ─► JSON values (the only place that names the JSON crate)
//! envelope   value ─► record, or the records inside an envelope
//! decode     record ─► Event: every member in its field, nothing lost
//! principal  userIdentity ─► who acted
//! dynamodb   event ─► its operations on tables
//! schema     THE column table
//! column     a column in memory
//! batch      events ─► columns of rows
//! ```

pub mod batch;
pub mod column;
pub mod decode;
pub mod dynamodb;
pub mod envelope;
mod member_name;
pub mod parse;
pub mod principal;
pub mod schema;
pub mod spelling;
pub mod time;
