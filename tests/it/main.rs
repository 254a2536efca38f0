//! Integration tests: one binary, one module a subject.

mod bad_input;
mod containers;
mod corpus;
mod house;
mod lake;
mod operation;
mod partiql;
mod product;
mod sample_data;
mod select;
mod slow;
