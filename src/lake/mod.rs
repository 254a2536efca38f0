//! The lake: parts, receipts, plans and quarantine in one store.
//!
//! ```text
//! <lake>/events/dt=YYYY-MM-DD/<unit>.parquet       one row an event, dt the event's own UTC date
//! <lake>/operations/dt=YYYY-MM-DD/<unit>.parquet   one row a table access
//! <lake>/receipts/dt=YYYY-MM-DD/<unit>.parquet     one row an object that was looked at
//! <lake>/integrity/dt=YYYY-MM-DD/<rows>.parquet    one row a digest that was verified, or what is wrong
//! <lake>/_dynatrail/lake.json                      the lake's format and what it keeps
//! <lake>/_dynatrail/plans/<plan>.json.zst          which objects make which unit
//! <lake>/_dynatrail/receipts/<unit>.json.zst       what a unit did, counted
//! <lake>/_dynatrail/settlements/<part>.json.zst    which parts replace which, without duplicates
//! <lake>/_dynatrail/lock                          who writes to it, while somebody does
//! <lake>/_dynatrail/sightings/dt=YYYY-MM-DD/…      who was seen at which table; follows from the parts
//! <lake>/_dynatrail/quarantine/<unit>.ndjson.zst   what could not be read, with its reason
//! <lake>/_dynatrail/nightly/findings.json.zst      which findings are known, and who was told
//! ```
//!
//! Athena, Spark and Hive ignore names that begin with `_`.

pub mod chunk;
pub mod ddl;
mod engine_store;
pub mod export;
mod gather;
pub mod hex;
mod hybrid;
pub mod integrity;
pub mod lock;
pub mod objects;
pub mod part;
mod process;
pub mod quarantine;
pub mod receipt;
pub mod s3;
pub mod seen;
pub mod settle;
pub mod sightings;
pub mod state;
pub mod store;
pub mod writer;

pub use lock::{Holder, Lock};
pub use receipt::{ObjectReceipt, ObjectStatus, Part, Plan, PlannedObject, PlannedUnit, Receipt};
pub use state::{LakeDescription, LakeState};
pub use store::{Store, StoreError};
pub use writer::UnitWriter;

/// The version of the lake's layout and columns that this program writes.
pub const FORMAT: u32 = 1;

/// What can go wrong with a lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write {path}")]
    Write {
        path: String,
        source: parquet::errors::ParquetError,
    },
    #[error("cannot read {path} of the lake")]
    Read {
        path: String,
        source: parquet::errors::ParquetError,
    },
    #[error("{path} of the lake is not what dynatrail writes")]
    Malformed {
        path: String,
        source: serde_json::Error,
    },
    #[error(
        "the lake is of format {found}, this program knows formats up to {FORMAT}; use a newer dynatrail"
    )]
    NewerFormat { found: u32 },
    #[error("{0} was listed and is gone: another program removes files of the lake")]
    Missing(String),
    #[error("{0} is not a lake: it has no _dynatrail/lake.json")]
    NotALake(String),
    #[error(
        "{0} holds files but is no lake: it has no _dynatrail/lake.json; choose an empty or new place"
    )]
    NotEmpty(String),
    #[error("{place} is being written by {holder}; one run at a time")]
    Held { place: String, holder: String },
    #[error(
        "the lake keeps other events: it was made with {lake}, this run asks for {asked}; write to another lake"
    )]
    OtherSelection { lake: String, asked: String },
}
