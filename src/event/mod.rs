//! Decodes records into events and operations, and events into Arrow batches.

pub mod batch;
pub mod decode;
pub mod envelope;
pub mod operation;
pub mod parse;
pub mod principal;
pub mod schema;
pub mod time;
