//! `dynatrail cluster scheduler`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::super::Outcome;
use super::super::terminal::tell;
use super::{advertised, ended, ensure_meant};
use crate::cluster::{SchedulerOptions, serve_scheduler};

/// Gives the work of clients to executors. Its state is in memory: where it ends, clients say so, and
/// the same command goes on from what is converted.
#[derive(clap::Args)]
pub struct Args {
    /// Where to listen.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50050")]
    listen: SocketAddr,

    /// The name or address by which executors reach it [default: that at which it listens].
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,

    /// Agrees to listen to other machines, though the engine has no authentication.
    #[arg(long)]
    trust_network: bool,

    /// An executor that gave no sign of life for so many seconds is lost: what it was given is given
    /// to others. Executors give one every 3 seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(8..))]
    executor_timeout: u64,
}

pub fn run(args: &Args, runtime: &Runtime) -> anyhow::Result<Outcome> {
    ensure_meant(args.listen.ip(), args.trust_network)?;
    let advertise = advertised(args.listen.ip(), args.advertise.as_deref())?;
    tell(&format!(
        "dynatrail: scheduler of version {} at {}",
        env!("CARGO_PKG_VERSION"),
        args.listen
    ));
    let options = SchedulerOptions {
        listen: args.listen,
        advertise,
        executor_timeout: Duration::from_secs(args.executor_timeout),
    };
    ended(runtime.block_on(serve_scheduler(options)))
}
