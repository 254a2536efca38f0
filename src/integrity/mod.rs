//! Says whether log files are those that CloudTrail delivered, by the digest files beside them.
//!
//! ```text
//! load   names ─fetch, inflate, parse, try signatures─► digests at hand
//! walk   digests of a chain, newest first ─► a status each, what is missing, gaps
//! logs   log files that signed digests name ─hash─► a status each
//! ```
//!
//! Digests go through in windows of bounded size, whatever chains they belong to: while the log files
//! of one window are hashed, the next is fetched.

mod digest;
mod keys;
mod load;
mod logs;
mod name;
mod online;
mod plan;
mod result;
mod rsa;
mod verify;
mod walk;

pub use digest::{Digest, DigestError, LogFile, MAX_STORED_BYTES, Previous, Sha256};
pub use keys::{KeyFileError, Keys};
pub use name::{LAYOUT_ROOT, SIDECAR_ENDING, below_root, is_of_trail};
pub use result::{
    Chain, ChainKind, DigestCounts, DigestResult, DigestStatus, EarlyEnd, Gap, LogResult,
    LogStatus, Note, Summary, Verdict,
};
pub use verify::{Known, Listed, Verifier, verify};
