//! `dynatrail cluster executor`.

use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Runtime;

use super::super::Outcome;
use super::super::aws::runtime as waiting_runtime;
use super::super::convert::start_threads;
use super::super::terminal::tell;
use super::{S3Args, advertised, ended, ensure_meant};
use crate::cluster::{Address, ExecutorOptions, Site, serve_executor};
use crate::convert::unit::error_chain;

/// Runs what a scheduler gives it: converts units, and answers its pieces of questions. It reads
/// archives and reads and writes lakes with its own credentials.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail cluster executor --scheduler localhost:50050
  dynatrail cluster executor --scheduler scheduler:50050 --listen 0.0.0.0 --advertise \"$POD_IP\" --trust-network")]
pub struct Args {
    /// The scheduler's address; it is waited for.
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: Address,

    /// Where to listen.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    listen: IpAddr,

    /// The name or address by which scheduler and executors reach it [default: that at which it
    /// listens].
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,

    /// Where rows are fetched; 0 for one that is free.
    #[arg(long, value_name = "PORT", default_value_t = 50051)]
    port: u16,

    /// Where tasks come in; 0 for one that is free.
    #[arg(long, value_name = "PORT", default_value_t = 50052)]
    task_port: u16,

    /// Agrees to listen to other machines, though the engine has no authentication.
    #[arg(long)]
    trust_network: bool,

    /// Threads that compute [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Tasks at once [default: one more than threads, so that the cores have work while a task waits
    /// for S3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: Option<u16>,

    /// Memory for sorting, grouping and joining of all tasks, in MB; beyond it they spill to disk.
    #[arg(long, value_name = "MB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..))]
    memory_limit: u64,

    /// Where a folder is made for rows that wait for other executors, and for what is spilled; it is
    /// removed at the end [default: the system's folder for temporary files].
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,

    #[command(flatten)]
    s3: S3Args,
}

pub fn run(args: &Args, runtime: &Runtime) -> anyhow::Result<Outcome> {
    ensure_meant(args.listen, args.trust_network)?;
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    start_threads(Some(threads))?;
    let advertise = advertised(args.listen, args.advertise.as_deref())?;
    let ports = Ports::choose(args)?;
    let name = format!("{advertise}:{}", ports.rows);
    let options = ExecutorOptions {
        scheduler: args.scheduler.clone(),
        listen: args.listen.to_string(),
        advertise,
        port: ports.rows,
        task_port: ports.tasks,
        slots: args.slots.map_or(threads + 1, usize::from),
        work_dir: args.work_dir.clone().unwrap_or_else(std::env::temp_dir),
        memory_limit_bytes: args.memory_limit << 20,
    };
    tell(&format!(
        "dynatrail: executor {name} of version {}, {} slots, for the scheduler at {}",
        env!("CARGO_PKG_VERSION"),
        options.slots,
        args.scheduler
    ));
    let waiting = waiting_runtime()?;
    let (s3, handle) = (args.s3.clone(), waiting.handle().clone());
    let open = Box::new(move |place: &str| {
        let opened = s3.open_store(place, &handle);
        opened.map_err(|error| error_chain(error.as_ref()))
    });
    let handle = waiting.handle().clone();
    let site = Site::new(&name, open, args.s3.options(), handle, options.slots);
    ended(runtime.block_on(serve_executor(options, Arc::new(site))))
}

/// The ports of an executor: the engine wants to know them before it listens.
struct Ports {
    rows: u16,
    tasks: u16,
}

impl Ports {
    fn choose(args: &Args) -> anyhow::Result<Self> {
        // Both are held at once, so that they differ.
        let listen = |port| {
            TcpListener::bind((args.listen, port))
                .with_context(|| format!("cannot listen at {}:{port}", args.listen))
        };
        let (rows, tasks) = (listen(args.port)?, listen(args.task_port)?);
        Ok(Self {
            rows: rows.local_addr()?.port(),
            tasks: tasks.local_addr()?.port(),
        })
    }
}
