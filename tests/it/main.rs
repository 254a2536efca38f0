//! Integration tests: one binary, one module a subject.

mod archive;
mod archive_s3;
mod bad_input;
mod containers;
mod corpus;
mod ddl;
mod house;
mod lake;
mod operation;
mod partiql;
mod product;
mod s3_server;
mod sample_data;
mod select;
mod slow;
