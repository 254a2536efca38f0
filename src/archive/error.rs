//! What can go wrong with an archive; a variant exists because a caller branches on it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// An error of another crate, kept as the source.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// A source that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{text:?} names no bucket: write s3://bucket/prefix")]
    NoBucket { text: String },
    #[error(
        "{text:?} has an unknown scheme: give a folder, a file, a pattern or s3://bucket/prefix"
    )]
    UnknownScheme { text: String },
    #[error("the source is empty")]
    Empty,
    #[error("{text:?} is no pattern of file names")]
    Pattern {
        text: String,
        #[source]
        source: globset::Error,
    },
}

/// A place that could not be listed; the rest of the listing went on.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {place}")]
pub struct ListFailure {
    /// `s3://bucket/prefix`, or the path of a folder or file.
    pub place: String,
    #[source]
    pub error: ListError,
}

/// Why a place could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("access denied")]
    Denied(#[source] BoxError),
    #[error("not found")]
    NotFound(#[source] BoxError),
    #[error("the name is not UTF-8")]
    NameNotUtf8,
    #[error("the listing does not advance")]
    Stuck,
    #[error("the listing failed")]
    Other(#[source] BoxError),
}

/// A listing that memory has no room for could not be kept: nothing can be said of what was listed.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot keep the listing in a temporary file in {}; TMPDIR may name another folder",
    folder.display()
)]
pub struct ListingError {
    pub folder: PathBuf,
    #[source]
    pub source: io::Error,
}

/// Why the bytes of an object are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{uri} is gone since it was listed")]
    Gone { uri: String },
    #[error("access to {uri} is denied")]
    Denied {
        uri: String,
        #[source]
        source: BoxError,
    },
    #[error("{uri} has changed since it was listed")]
    Changed { uri: String },
    #[error("{uri} came short: {received} of {expected} bytes")]
    Short {
        uri: String,
        expected: u64,
        received: u64,
        #[source]
        source: Option<BoxError>,
    },
    #[error("{uri} has {size} bytes, more than the limit of {limit}")]
    TooLarge { uri: String, size: u64, limit: u64 },
    /// Restoring it in S3 makes it readable.
    #[error("{uri} is in an archive storage class: restore it first")]
    Frozen { uri: String },
    #[error("cannot fetch {uri}")]
    Other {
        uri: String,
        #[source]
        source: BoxError,
    },
}

/// The answer of a service that refused a request.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message} (status {status})")]
pub struct Refusal {
    pub code: String,
    pub message: String,
    pub status: u16,
    #[source]
    pub source: BoxError,
}
