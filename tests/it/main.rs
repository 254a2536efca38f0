//! Integration tests: one binary, one module a subject.

mod archive;
mod archive_s3;
mod s3_server;
