//! Integration tests: one binary, one module a subject.

mod archive;
mod archive_s3;
mod bad_input;
mod chunk;
mod cli;
mod containers;
mod convert_s3;
mod corpus;
mod ddl;
mod house;
mod html;
mod lake;
mod limits;
mod operation;
mod partiql;
mod product;
mod query;
mod report;
mod report_cli;
mod s3_server;
mod sample_data;
mod select;
mod selectors_cli;
mod slow;
mod store_s3;
mod truth;
