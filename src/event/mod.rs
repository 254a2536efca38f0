//! Decodes records into events and operations, and events into Arrow batches.

mod member_name;
pub mod parse;
pub mod principal;
