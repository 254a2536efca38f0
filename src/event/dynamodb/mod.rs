//! DynamoDB's events: the tables they touch, item by item, and how each access ended.
//!
//! ```text
//! catalogue  event name ─► plane, shape of its parameters, access
//! request, entries, tables, attributes   parameters ─► keys, tables, names
//! partiql    statement ─► verb, table, visible key
//! outcome    errorCode, errorMessage ─► how it ended, what was denied
//! operation  joins them into the list of operations
//! ```

pub mod arn;
pub mod attributes;
pub mod catalogue;
mod entries;
pub mod json_text;
pub mod operation;
pub mod outcome;
pub mod partiql;
pub mod partiql_condition;
mod partiql_token;
mod request;
mod tables;
