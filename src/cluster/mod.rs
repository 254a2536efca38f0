//! Many machines: the units of a conversion and the questions of reports as tasks of Ballista,
//! DataFusion's distributed scheduler and executors.
//!
//! The scheduler and the executors are this same program. Ballista gives out tasks, gives them out
//! again where a machine is lost, and moves rows; what a task does is the same function as on one
//! machine. A client plans units and questions itself and sends the physical plan: of a conversion
//! the names of units, whose objects stand in the lake's plan. Executors reach S3 by their own
//! credentials; none travel.

mod address;
mod codec;
mod connections;
mod constant;
mod convert;
mod error;
mod executor;
mod functions;
mod job;
mod joins;
mod logs;
mod node;
mod query;
mod scheduler;
mod site;
mod slots;
mod stage;
mod stores;
mod under_way;

pub use address::{Address, AddressError};
pub use convert::ClusterCrew;
pub use error::ClusterError;
pub use executor::{ExecutorOptions, serve_executor};
pub use job::{Client, Tell};
pub use logs::{LevelFilter, tell_engine_logs};
pub use query::ClusterEngine;
pub use scheduler::{SchedulerOptions, serve_scheduler};
pub use site::{Opener, Site};

/// The scheduler's port, as Ballista has it.
pub const SCHEDULER_PORT: u16 = 50050;

/// Bytes of a message between client, scheduler and executors, at most: a plan names every file that it
/// reads.
const MAX_MESSAGE_BYTES: u32 = 64 << 20;

/// Refuses a place that means another folder to each process.
fn ensure_full(place: &str) -> Result<(), ClusterError> {
    match place.starts_with("s3://") || place.starts_with('/') {
        true => Ok(()),
        false => Err(ClusterError::RelativePath {
            place: place.to_owned(),
        }),
    }
}
