//! The scheduler: gives tasks to executors, in memory alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::start_server;

use super::ClusterError;
use super::codec::Codec;
use super::functions::session_state;

/// How often it is looked whether executors still tell of themselves.
const LOOKED_FOR_DEAD_EVERY: Duration = Duration::from_secs(3);

/// How a scheduler runs.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    pub listen: SocketAddr,
    /// The name by which executors reach it.
    pub advertise: String,
    /// An executor that has told nothing of itself for so long is dead: what it was given is given
    /// to others. Whole seconds; more than an executor waits between two signs of life.
    pub executor_timeout: Duration,
}

/// Runs a scheduler until the process ends.
///
/// # Errors
/// [`ClusterError::Scheduler`] where it cannot listen.
pub async fn serve_scheduler(options: SchedulerOptions) -> Result<(), ClusterError> {
    let timeout = options.executor_timeout.as_secs();
    let config = SchedulerConfig {
        external_host: options.advertise.clone(),
        bind_host: options.listen.ip().to_string(),
        bind_port: options.listen.port(),
        executor_timeout_seconds: timeout,
        expire_dead_executor_interval_seconds: LOOKED_FOR_DEAD_EVERY.as_secs(),
        no_executors_grace_period_seconds: timeout,
        // What one executor fails at comes to another the next time.
        task_distribution: TaskDistributionPolicy::RoundRobin,
        // A client needs to reach the scheduler alone.
        enable_embedded_flight_proxy: true,
        override_physical_codec: Some(Arc::new(Codec::without_site())),
        override_session_builder: Some(Arc::new(session_state)),
        ..SchedulerConfig::default()
    };
    let place = options.listen.to_string();
    let failed = |source| ClusterError::Scheduler {
        place: place.clone(),
        source,
    };
    let cluster = BallistaCluster::new_from_config(&config)
        .await
        .map_err(failed)?;
    start_server(cluster, options.listen, Arc::new(config))
        .await
        .map_err(failed)
}
