//! Makes CloudTrail archives from a seed: the shipped sample, and archives for benchmarks.
//!
//! ```text
//! bench, sample       decide who calls what, and when
//! mix, services       pick everyday calls          items, partiql, streams, control   make DynamoDB records
//! identities, tables  who calls, on what           record, json   one record and its text
//! writer              keys and gzipped objects     truth          what a correct reader finds
//! ```

pub mod bench;
mod control;
mod identities;
mod items;
mod json;
mod mix;
mod partiql;
mod population;
mod prng;
mod record;
pub mod sample;
mod services;
mod storage;
mod streams;
mod tables;
mod time;
pub mod truth;
mod writer;

pub use bench::{BenchSpec, Fill, bench};
pub use sample::sample;
pub use truth::Truth;
