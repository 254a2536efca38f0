//! What can go wrong between a client and its cluster.

use ballista_core::error::BallistaError;
use datafusion::error::DataFusionError;

use super::Address;

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("no scheduler answers at {address}; start one with `dynatrail cluster scheduler`")]
    Unreachable {
        address: Address,
        #[source]
        source: BallistaError,
    },
    #[error(
        "the scheduler at {address} does not answer any more ({words}); what was converted stays, \
         and the same command goes on from there"
    )]
    Lost { address: Address, words: String },
    #[error(
        "the scheduler at {address} was started anew and does not know the job any more; what was \
         converted stays, and the same command goes on from there"
    )]
    Forgotten { address: Address },
    #[error("the cluster at {address} does not take the job: {words}")]
    Refused { address: Address, words: String },
    #[error("the cluster at {address} could not do the job: {words}")]
    Failed { address: Address, words: String },
    #[error("cannot fetch what the cluster at {address} found")]
    Fetch {
        address: Address,
        #[source]
        source: DataFusionError,
    },
    #[error("the plan cannot be given to a cluster")]
    Plan(#[source] DataFusionError),
    #[error("interrupted; the job was cancelled")]
    Interrupted,
    #[error(
        "with a cluster {place} must be a full path, which every executor has in the same place"
    )]
    RelativePath { place: String },
    #[error("the scheduler cannot listen at {place}")]
    Scheduler {
        place: String,
        #[source]
        source: BallistaError,
    },
    #[error("the executor ended")]
    Executor(#[source] BallistaError),
    #[error(
        "the executor ended by itself: the scheduler at {scheduler} did not answer, or took it for lost"
    )]
    Left { scheduler: Address },
    #[error("cannot use {place} for what tasks leave to one another")]
    WorkDir {
        place: String,
        #[source]
        source: std::io::Error,
    },
}
