//! Turns the bytes of an object into the texts of the JSON values it contains.
//!
//! What an object is, its bytes say, never its name: gzip (any number of members), zstd or plain;
//! inside, `{"Records":[…]}` and its relatives, arrays, lines, and values one after another.
//! [`Content`] inflates into a window of bounded size, [`Splitter`] finds the values in it.

pub mod content;
pub mod split;
mod structure;

pub use content::{Content, ContentDamage, Encoding, Inflater, Window};
pub use split::{Piece, SplitDamage, Splitter, Step};
