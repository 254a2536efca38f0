//! `dynatrail cluster`, and `--cluster` on what a cluster can do.

mod executor;
mod scheduler;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use tokio::runtime::Handle;

use super::aws::S3Args;
use super::terminal::tell;
use super::{Manner, Outcome};
use crate::cluster::{
    Address, ClusterCrew, ClusterEngine, ClusterError, LevelFilter, tell_engine_logs,
};
use crate::convert::crew::{Crew, ThisMachine};
use crate::lake::Holder;
use crate::query::Engine;

/// Runs a scheduler or an executor of a cluster, to which `--cluster` gives work.
///
/// The engine is Apache DataFusion Ballista. It has no authentication: whoever reaches its ports can
/// read and write what the executors can. So it listens on this machine alone unless told otherwise.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail cluster scheduler
  dynatrail cluster executor --scheduler localhost:50050
  dynatrail convert s3://my-trail-bucket --lake s3://my-lake/dynamodb --cluster df://localhost:50050")]
pub struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(clap::Subcommand)]
enum Role {
    Scheduler(scheduler::Args),
    Executor(executor::Args),
}

pub fn run(args: &Args, manner: Manner) -> anyhow::Result<Outcome> {
    tell_engine_logs(match manner.verbose {
        // Much of what it calls an error is none: a limit that was reached, for one.
        0 => LevelFilter::Off,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    match &args.role {
        Role::Scheduler(args) => scheduler::run(args, &runtime),
        Role::Executor(args) => executor::run(args, &runtime),
    }
}

/// Where work is given to others.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// Has a cluster do the work: the address of its scheduler.
    #[arg(long, value_name = "df://HOST:PORT", env = "DYNATRAIL_CLUSTER")]
    cluster: Option<Address>,
}

/// Into how many pieces the rows of a question are divided.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct PartitionArgs {
    /// Pieces into which a cluster divides the rows of a question: about one for each of its slots.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    cluster_partitions: u16,
}

impl ClusterArgs {
    /// Who runs the units of a conversion into a lake.
    pub fn crew(
        &self,
        lake: &str,
        runtime: &Handle,
        holder: &Holder,
    ) -> anyhow::Result<Arc<dyn Crew>> {
        let Some(address) = &self.cluster else {
            return Ok(Arc::new(ThisMachine));
        };
        let lake = full_place(lake)?;
        let crew = ClusterCrew::new(
            address.clone(),
            runtime.clone(),
            &lake,
            holder.clone(),
            tell,
        )?;
        // Listing a large archive takes long: that nobody is there is told before.
        runtime.block_on(crew.check())?;
        Ok(Arc::new(crew))
    }

    /// What answers questions to a lake; this process if it is none. `interrupted` is asked for a flag
    /// that a signal sets.
    pub fn engine(
        &self,
        lake: &str,
        partitions: &PartitionArgs,
        interrupted: impl FnOnce() -> Arc<AtomicBool>,
    ) -> anyhow::Result<Option<Arc<dyn Engine>>> {
        let Some(address) = &self.cluster else {
            return Ok(None);
        };
        let interrupted = interrupted();
        let lake = full_place(lake)?;
        let partitions = usize::from(partitions.cluster_partitions);
        let engine = ClusterEngine::new(address.clone(), &lake, partitions, interrupted, tell)?;
        Ok(Some(Arc::new(engine)))
    }
}

/// Whether an error is that a person has cancelled the job.
pub fn is_cancelled(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<ClusterError>();
        matches!(cause, Some(ClusterError::Interrupted))
    })
}

/// The place of a lake as a process that stands in another folder opens it.
fn full_place(place: &str) -> anyhow::Result<String> {
    if place.starts_with("s3://") {
        return Ok(place.to_owned());
    }
    let full = std::path::absolute(Path::new(place))
        .with_context(|| format!("cannot tell where {place} is"))?;
    let text = full.to_str().context("the lake's path is not UTF-8")?;
    Ok(text.to_owned())
}

/// The name by which others reach what listens at an address.
fn advertised(listen: std::net::IpAddr, asked: Option<&str>) -> anyhow::Result<String> {
    match asked {
        Some(name) => Ok(name.to_owned()),
        None if listen.is_unspecified() => anyhow::bail!(
            "{listen} is no address by which others reach this machine: name one with --advertise"
        ),
        None => Ok(listen.to_string()),
    }
}

/// Refuses to listen to others unless that was meant.
fn ensure_meant(listen: std::net::IpAddr, is_trusted: bool) -> anyhow::Result<()> {
    if listen.is_loopback() {
        return Ok(());
    }
    anyhow::ensure!(
        is_trusted,
        "{listen} can be reached from other machines, and the engine has no authentication: whoever \
         reaches its ports can read and write what the executors' credentials allow. If a network \
         policy or a sidecar keeps others out, say --trust-network"
    );
    tell(&format!(
        "dynatrail: listening at {listen} without authentication: only a network policy or a sidecar \
         keeps others out"
    ));
    Ok(())
}

/// The engine's end, in words.
fn ended(ended: Result<(), ClusterError>) -> anyhow::Result<Outcome> {
    ended?;
    Ok(Outcome::Complete)
}
