//! Integration tests: one binary, one module a subject.

mod corpus;
mod house;
mod product;
mod select;
mod slow;
