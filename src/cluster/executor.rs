//! An executor: runs what the scheduler gives it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use futures::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::address::in_url;
use super::codec::Codec;
use super::functions::registry;
use super::stage::NamingEngine;
use super::stores::LakeStores;
use super::{Address, ClusterError, MAX_MESSAGE_BYTES, Site};

/// How often an executor tells that it is alive, in seconds.
const SIGN_OF_LIFE_EVERY: u64 = 3;

/// How long what a task left to others is kept where nobody said that it can go, in seconds.
pub const LEFT_FOR_OTHERS_KEPT: u64 = 24 * 3600;

/// How often it is looked for what can go, in seconds.
const LOOKED_FOR_LEFT_EVERY: u64 = 600;

/// How an executor runs.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    pub scheduler: Address,
    /// The IP address to listen at.
    pub listen: String,
    /// The name by which the scheduler and other executors reach it.
    pub advertise: String,
    /// Where rows are fetched, and where tasks come in.
    pub port: u16,
    pub task_port: u16,
    /// Tasks at once.
    pub slots: usize,
    /// Where a folder is made for rows that wait for other executors, and for what is spilled.
    pub work_dir: PathBuf,
    /// Bytes that sorting, grouping and joining may hold, over all tasks.
    pub memory_limit_bytes: u64,
}

/// Runs an executor until it is told to end; waits for a scheduler that is not there yet.
///
/// # Errors
/// [`ClusterError::Executor`] where it cannot listen, or was refused; [`ClusterError::Left`] where it
/// ended without being told to.
pub async fn serve_executor(options: ExecutorOptions, site: Arc<Site>) -> Result<(), ClusterError> {
    // Its own, which nobody else can read: the engine removes all folders that stand in it.
    let own = std::fs::create_dir_all(&options.work_dir).and_then(|()| {
        let mut own = tempfile::Builder::new();
        own.prefix("dynatrail-executor-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&options.work_dir)
    });
    let own = own.map_err(|source| ClusterError::WorkDir {
        place: options.work_dir.display().to_string(),
        source,
    })?;
    serve(options, site, own.path()).await
}

async fn serve(
    options: ExecutorOptions,
    site: Arc<Site>,
    work_dir: &Path,
) -> Result<(), ClusterError> {
    let scheduler = options.scheduler.clone();
    let failed = |error: DataFusionError| ClusterError::Executor(error.into());
    let stores = Arc::new(LakeStores::new(site.clone()));
    let (spills, told) = (work_dir.to_owned(), site.clone());
    let config = ExecutorProcessConfig {
        bind_host: in_url(&options.listen),
        external_host: Some(in_url(&options.advertise)),
        port: options.port,
        grpc_port: options.task_port,
        scheduler_host: in_url(&options.scheduler.host),
        scheduler_port: options.scheduler.port,
        scheduler_connect_timeout_seconds: u16::MAX,
        vcores: options.slots,
        work_dir: Some(work_dir.display().to_string()),
        job_data_ttl_seconds: LEFT_FOR_OTHERS_KEPT,
        job_data_clean_up_interval_seconds: LOOKED_FOR_LEFT_EVERY,
        grpc_max_decoding_message_size: MAX_MESSAGE_BYTES,
        grpc_max_encoding_message_size: MAX_MESSAGE_BYTES,
        executor_heartbeat_interval_seconds: SIGN_OF_LIFE_EVERY,
        memory_pool_size: Some(options.memory_limit_bytes),
        override_function_registry: Some(registry().map_err(failed)?),
        override_config_producer: Some(Arc::new(SessionConfig::new_with_ballista)),
        override_runtime_producer: Some(Arc::new(move |_| {
            let disk = DiskManagerMode::Directories(vec![spills.clone()]);
            let environment = RuntimeEnvBuilder::new()
                .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
                .with_object_store_registry(stores.clone())
                .build()?;
            Ok(Arc::new(environment))
        })),
        override_execution_engine: Some(Arc::new(NamingEngine::new(site.clone()))),
        override_physical_codec: Some(Arc::new(Codec::of(site))),
        ..ExecutorProcessConfig::default()
    };
    let mut signals = Signals::watch().map_err(|error| failed(error.into()))?;
    let mut running = pin!(start_executor_process(Arc::new(config)));
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = signals.next() => {
            told.leave();
            running.await
        }
    };
    // Both may have heard of it at once.
    if signals.next().now_or_never().is_some() {
        told.leave();
    }
    match told.reason() {
        Some(reason) => Err(reason),
        None if ended.is_ok() && !told.is_leaving() => Err(ClusterError::Left { scheduler }),
        None => ended.map_err(ClusterError::Executor),
    }
}

/// The signals that end the engine's own service.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn watch() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
