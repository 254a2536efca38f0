//! Writes rows and runs of reports: one file a format, all fed with the same plain structures.
//!
//! Attackers choose user agents, names and keys. Whatever stands in a cell, it cannot steer a
//! terminal, be a formula, or be markup: `sanitize` has the rules, every format its test.

pub mod cell;
pub mod csv;
pub mod html;
pub mod json;
pub mod markdown;
pub mod parquet;
pub mod rows;
pub mod sanitize;
pub mod table;
pub mod text;

use std::io;

use ::arrow::error::ArrowError;

pub use rows::RowWriter;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
    Markdown,
    Html,
    Parquet,
}

impl Format {
    /// The ending of a file of the format.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Table => "txt",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Parquet => "parquet",
        }
    }
}

/// How a table is laid out on a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Columns of the terminal; a file or a pipe has as many as it needs.
    pub width: Option<usize>,
    /// Rows shown; those beyond are counted.
    pub max_rows: usize,
    pub color: bool,
}

/// What can go wrong while writing.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("cannot write the output")]
    Write(#[from] io::Error),
    #[error("cannot write CSV")]
    Csv(#[from] ::csv::Error),
    #[error("cannot write Parquet")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    #[error("cannot read a row")]
    Arrow(#[from] ArrowError),
    #[error("cannot write HTML")]
    Html(#[from] html::HtmlError),
    #[error("{0} holds one table: name one report, or write a folder with --out")]
    OneTable(&'static str),
}
