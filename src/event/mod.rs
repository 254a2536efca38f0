//! Decodes records into events and operations, and events into Arrow batches.

pub mod arn;
pub mod attributes;
pub mod batch;
pub mod catalogue;
pub mod decode;
mod entries;
pub mod envelope;
pub mod json_text;
mod member_name;
pub mod operation;
pub mod outcome;
pub mod parse;
pub mod partiql;
pub mod partiql_condition;
mod partiql_token;
pub mod principal;
mod request;
pub mod schema;
mod spelling;
mod tables;
pub mod time;
