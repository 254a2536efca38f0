//! Decodes records into events and operations, and events into Arrow batches.

pub mod parse;
