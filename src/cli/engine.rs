//! Options of the engine that questions and reports run on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use tokio::runtime::Handle;

use super::cluster::{ClusterArgs, PartitionArgs};
use super::signals::watch;
use crate::query::{DEFAULT_MEMORY_LIMIT_BYTES, QueryOptions, RedactionKey};

/// Bytes of a key file that are read at most.
const MAX_KEY_BYTES: usize = 64 << 10;

/// Bytes of a secret made for one run.
const OWN_KEY_BYTES: usize = 32;

/// What the engine may use of the machine.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Engine")]
pub struct MachineArgs {
    /// Memory for sorting, grouping and joining, in MB; beyond it they spill to disk.
    #[arg(long, value_name = "MB", default_value_t = DEFAULT_MEMORY_LIMIT_BYTES >> 20)]
    memory_limit: usize,

    /// Where to spill, instead of the system's folder for temporary files.
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,

    /// Threads that compute; all cores if it is not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl MachineArgs {
    pub fn options(&self) -> QueryOptions {
        QueryOptions {
            memory_limit_bytes: self.memory_limit << 20,
            spill_folder: self.spill_dir.clone(),
            threads: self.threads.map(usize::from),
            redaction: None,
            engine: None,
        }
    }
}

#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    #[command(flatten)]
    machine: MachineArgs,

    #[command(flatten)]
    pub cluster: ClusterArgs,

    #[command(flatten)]
    partitions: PartitionArgs,

    /// Replaces item keys by a keyed hash, everywhere.
    #[arg(long, value_enum, value_name = "WHAT")]
    redact: Option<Redact>,

    /// The secret that hashes are made with, so that those of several runs can be compared; a new
    /// one for each run if it is not given.
    #[arg(
        long,
        value_name = "FILE",
        requires = "redact",
        env = "DYNATRAIL_REDACT_KEY_FILE"
    )]
    redact_key_file: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Redact {
    Keys,
}

impl EngineArgs {
    /// How statements over a lake run, in a process that ends itself when it is told to.
    pub fn options(&self, lake: &str, runtime: &Handle) -> anyhow::Result<QueryOptions> {
        self.options_of_run(lake, || {
            let interrupted = Arc::new(AtomicBool::new(false));
            watch(runtime, &interrupted, "cancelling the job");
            interrupted
        })
    }

    /// How statements over a lake run, in a run that ends when a flag is set.
    pub fn options_of_run(
        &self,
        lake: &str,
        interrupted: impl FnOnce() -> Arc<AtomicBool>,
    ) -> anyhow::Result<QueryOptions> {
        Ok(QueryOptions {
            redaction: self.redaction()?,
            engine: self.cluster.engine(lake, &self.partitions, interrupted)?,
            ..self.machine.options()
        })
    }

    fn redaction(&self) -> anyhow::Result<Option<RedactionKey>> {
        if self.redact.is_none() {
            return Ok(None);
        }
        let secret = match &self.redact_key_file {
            Some(path) => {
                let secret = std::fs::read(path)
                    .with_context(|| format!("cannot read the key {}", path.display()))?;
                let length = secret.len();
                anyhow::ensure!(
                    (16..=MAX_KEY_BYTES).contains(&length),
                    "the key {} has {length} bytes; it must have 16 to {MAX_KEY_BYTES}",
                    path.display()
                );
                secret
            }
            None => {
                let mut secret = vec![0; OWN_KEY_BYTES];
                getrandom::fill(&mut secret)
                    .map_err(|error| anyhow::anyhow!("cannot make a key: {error}"))?;
                secret
            }
        };
        Ok(Some(RedactionKey::new(&secret)))
    }
}
