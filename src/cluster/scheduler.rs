//! The scheduler: gives tasks to executors, in memory alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::{TcpListener, TcpSocket};

use super::address::in_url;
use super::codec::Codec;
use super::executor::LEFT_FOR_OTHERS_KEPT;
use super::functions::session_state;
use super::slots::CountedSlots;
use super::{ClusterError, MAX_MESSAGE_BYTES};

/// How often it is looked whether executors still tell of themselves.
const LOOKED_FOR_DEAD_EVERY: Duration = Duration::from_secs(3);

/// Connections that wait to be accepted.
const CONNECTIONS_WAITING: u32 = 1024;

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
        external_host: in_url(&options.advertise),
        bind_host: in_url(&options.listen.ip().to_string()),
        bind_port: options.listen.port(),
        executor_timeout_seconds: timeout,
        expire_dead_executor_interval_seconds: LOOKED_FOR_DEAD_EVERY.as_secs(),
        no_executors_grace_period_seconds: timeout,
        // The client says when it has the rows; one that is gone cannot.
        finished_job_data_clean_up_interval_seconds: LEFT_FOR_OTHERS_KEPT,
        // What one executor fails at comes to another the next time.
        task_distribution: TaskDistributionPolicy::RoundRobin,
        // A client needs to reach the scheduler alone.
        enable_embedded_flight_proxy: true,
        grpc_server_max_decoding_message_size: MAX_MESSAGE_BYTES,
        grpc_server_max_encoding_message_size: MAX_MESSAGE_BYTES,
        grpc_client_max_message_size: MAX_MESSAGE_BYTES,
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
    let slots = Arc::new(CountedSlots::default());
    let cluster = BallistaCluster::new(slots, cluster.job_state());
    config.validate().map_err(failed)?;
    let listener = listen(options.listen).map_err(|error| failed(error.into()))?;
    let scheduler =
        create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config))
            .await
            .map_err(failed)?;
    start_grpc_service_with_listener(listener, scheduler)
        .await
        .map_err(failed)
}

/// Listens for connections that send what they have at once: the engine's own wait for the other side's
/// sign after each small piece, up to 40 ms.
fn listen(at: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match at {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    // Whoever is accepted has it too.
    socket.set_nodelay(true)?;
    socket.bind(at)?;
    socket.listen(CONNECTIONS_WAITING)
}
