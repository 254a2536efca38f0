//! What decides about every record of a run: the lake's selection, the run's filter, the limits.

use super::keep::Keep;
use crate::lake::receipt::EventFilter;

/// Memory that the rows of one object may take, in bytes: beyond it lies a bomb of events, or many
/// logs in one.
pub const MAX_KEPT_BYTES: usize = 1 << 30;

/// What decides about every record of a run.
pub struct Rules {
    pub keep: Keep,
    pub filter: EventFilter,
    /// Whether objects are hashed, as integrity digests need it.
    pub hashes: bool,
    /// Usually [`MAX_KEPT_BYTES`].
    pub max_kept_bytes: usize,
}

impl Rules {
    /// The same with another filter, hashing or not.
    pub fn with(&self, filter: EventFilter, hashes: bool) -> Self {
        Self {
            keep: self.keep.clone(),
            filter,
            hashes,
            max_kept_bytes: self.max_kept_bytes,
        }
    }
}
