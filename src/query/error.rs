//! What can go wrong with a question to a lake.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use crate::lake::{LakeError, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(
        "a lake can only be read: SELECT, EXPLAIN, SHOW TABLES and DESCRIBE are possible, \
         nothing that makes, changes or writes"
    )]
    NotReading,
    #[error("{0}")]
    Sql(String),
    #[error(
        "the question needs more memory than it may have: give more with --memory-limit, or narrow \
         it with dt ({0})"
    )]
    Memory(String),
    #[error(
        "a cluster cannot redact: the secret would have to be sent to every executor; ask without \
         --cluster"
    )]
    RedactedElsewhere,
    #[error("cannot start the threads that compute")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot read the answer")]
    Arrow(#[from] ArrowError),
    #[error("cannot read the lake")]
    Engine(#[source] Box<DataFusionError>),
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(text) => {
                let first = text.lines().next().unwrap_or_default();
                Self::Memory(first.trim_end_matches('.').to_owned())
            }
            DataFusionError::SQL(parser, _) => Self::Sql(brief(&parser.to_string())),
            DataFusionError::Plan(text) => Self::Sql(brief(text)),
            DataFusionError::SchemaError(schema, _) => Self::Sql(brief(&schema.to_string())),
            _ => Self::Engine(Box::new(error)),
        }
    }
}

/// Bytes of the engine's own words that are told: it may add its whole plan.
const MAX_WORDS_BYTES: usize = 600;

fn brief(words: &str) -> String {
    match words.char_indices().find(|(at, _)| *at >= MAX_WORDS_BYTES) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}
