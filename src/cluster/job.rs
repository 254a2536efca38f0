//! A client's side of a job: given to the scheduler, waited for, its rows fetched.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use ballista_core::client::BallistaClient;
use ballista_core::config::BallistaConfig;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::get_job_status_result::FlightProxy;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, CleanJobDataParams, ExecuteQueryParams, GetJobStatusParams,
    GetJobStatusResult, KeyValuePair, PartitionLocation, execute_query_result, job_status,
};
use ballista_core::utils::{GrpcClientConfig, create_grpc_client_endpoint};
use ballista_core::version;
use datafusion::common::{DataFusionError, Result as EngineResult, internal_datafusion_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::TryStreamExt;
use tonic::transport::Channel;

use super::address::in_url;
use super::codec::Codec;
use super::{Address, ClusterError, MAX_MESSAGE_BYTES};

/// How often the scheduler is asked how far a job is: at first, and when it takes long.
const ASKED_EVERY: Duration = Duration::from_millis(20);
const ASKED_SELDOM: Duration = Duration::from_millis(200);

/// The share of a job's time that passes between two times.
const ASKING_SHARE: u32 = 50;

/// How long a scheduler may not answer before it is taken for lost.
const SCHEDULER_MAY_BE_SILENT: Duration = Duration::from_secs(10);

/// How long it may take until an executor is free before a person is told of it.
const WAITING_IS_TOLD_AFTER: Duration = Duration::from_secs(10);

type Scheduler = SchedulerGrpcClient<Channel>;

/// Tells a person something while work goes on.
pub type Tell = fn(&str);

/// Gives jobs to one cluster.
#[derive(Debug, Clone)]
pub struct Client {
    address: Address,
    tell: Tell,
}

/// A job that ended well: where its rows are.
pub struct Finished {
    job_id: String,
    partitions: Vec<PartitionLocation>,
    proxy: Option<FlightProxy>,
}

impl Client {
    pub fn new(address: Address, tell: Tell) -> Self {
        Self { address, tell }
    }

    async fn connect(&self) -> Result<Scheduler, ClusterError> {
        let config = GrpcClientConfig::from(&BallistaConfig::default());
        let unreachable = |source| ClusterError::Unreachable {
            address: self.address.clone(),
            source,
        };
        let endpoint = create_grpc_client_endpoint(self.address.url(), Some(&config))
            .map_err(|error| unreachable(error.into()))?;
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| unreachable(error.into()))?;
        Ok(SchedulerGrpcClient::new(channel)
            .max_encoding_message_size(MAX_MESSAGE_BYTES as usize)
            .max_decoding_message_size(MAX_MESSAGE_BYTES as usize))
    }

    /// Whether a scheduler of this version's Ballista is there.
    pub async fn check(&self) -> Result<(), ClusterError> {
        self.connect().await.map(drop)
    }

    /// Waits until an executor has done a task, and its row is here; whether that is so by a deadline. A cluster that grows
    /// with its work has none at first, and another's work may have all of them: how long it may take
    /// is not ours to say, but that it does is told.
    ///
    /// # Errors
    /// As [`Self::run`] and [`Self::fetch`].
    pub async fn wait_for_executor(
        &self,
        deadline: Option<Instant>,
        interrupted: &AtomicBool,
    ) -> Result<bool, ClusterError> {
        let config = SessionConfig::new_with_ballista().with_ballista_job_name("dynatrail waits");
        let plan = some_row().map_err(ClusterError::Plan)?;
        let over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let is_unwanted = || interrupted.load(Ordering::Relaxed) || over();
        let mut run = pin!(self.run(plan, &config, is_unwanted));
        let ran = match tokio::time::timeout(WAITING_IS_TOLD_AFTER, run.as_mut()).await {
            Ok(ran) => ran,
            Err(_) => {
                let address = &self.address;
                (self.tell)(&format!("waiting: no executor of {address} is free"));
                run.await
            }
        };
        let finished = match ran {
            Ok(finished) => finished,
            Err(ClusterError::Interrupted) if !interrupted.load(Ordering::Relaxed) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        for piece in finished.pieces() {
            let rows = self.fetch(&piece).await?;
            let rows = rows.try_for_each(async |_| Ok(())).await;
            rows.map_err(|source| self.not_fetched(source))?;
        }
        self.forget(&finished).await;
        Ok(true)
    }

    /// Has executors remove a job's rows, which are here.
    pub async fn forget(&self, job: &Finished) {
        let job_id = job.job_id.clone();
        let forgotten = match self.connect().await {
            Ok(mut scheduler) => scheduler
                .clean_job_data(CleanJobDataParams {
                    job_id,
                    remove_stage_ids: Vec::new(),
                })
                .await
                .map(drop)
                .map_err(|status| status.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = forgotten {
            // They go by themselves after a day.
            tracing::debug!(error, "what the job left to others stays");
        }
    }

    /// An error of rows that cannot be fetched.
    pub fn not_fetched(&self, source: DataFusionError) -> ClusterError {
        ClusterError::Fetch {
            address: self.address.clone(),
            source,
        }
    }

    /// Runs a plan to its end, and tells where its rows are; cancels it when it is unwanted.
    ///
    /// # Errors
    /// The scheduler cannot be reached, is lost, or does not take the plan; a task failed as often
    /// as Ballista tries it; cancelled.
    pub async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
        is_unwanted: impl Fn() -> bool,
    ) -> Result<Finished, ClusterError> {
        let mut scheduler = self.connect().await?;
        let job_id = self.submit(&mut scheduler, plan, config).await?;
        let begun = Instant::now();
        let mut answered = begun;
        loop {
            if is_unwanted() {
                self.cancel(&mut scheduler, &job_id).await;
                return Err(ClusterError::Interrupted);
            }
            let asked = GetJobStatusParams {
                job_id: job_id.clone(),
            };
            match scheduler.get_job_status(asked).await {
                Ok(answer) => {
                    answered = Instant::now();
                    if let Some(finished) = self.judge(&job_id, answer.into_inner())? {
                        return Ok(finished);
                    }
                }
                Err(status) if answered.elapsed() >= SCHEDULER_MAY_BE_SILENT => {
                    return Err(ClusterError::Lost {
                        address: self.address.clone(),
                        words: status.message().to_owned(),
                    });
                }
                Err(status) => tracing::debug!(%status, "the scheduler does not answer"),
            }
            let wait = begun.elapsed() / ASKING_SHARE;
            tokio::time::sleep(wait.clamp(ASKED_EVERY, ASKED_SELDOM)).await;
        }
    }

    async fn submit(
        &self,
        scheduler: &mut Scheduler,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
    ) -> Result<String, ClusterError> {
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, &Codec::without_site())
            .and_then(|node| node.try_encode(&mut bytes))
            .map_err(ClusterError::Plan)?;
        let entries = config.options().entries().into_iter();
        let settings = entries.map(|entry| KeyValuePair {
            key: entry.key,
            value: entry.value,
        });
        let mut request = tonic::Request::new(ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(bytes)),
            settings: settings.collect(),
            session_id: session_id(),
            operation_id: session_id(),
        });
        version::insert_version_header(request.metadata_mut());
        let refused = |words: String| ClusterError::Refused {
            address: self.address.clone(),
            words,
        };
        let answer = scheduler.execute_query(request).await;
        let answer = answer.map_err(|status| refused(status.message().to_owned()))?;
        match answer.into_inner().result {
            Some(execute_query_result::Result::Success(accepted)) => Ok(accepted.job_id),
            Some(execute_query_result::Result::Failure(failure)) => {
                Err(refused(format!("{:?}", failure.failure)))
            }
            None => Err(refused("it answers nothing".to_owned())),
        }
    }

    /// What a status says: the end, well or not, or that the job goes on.
    fn judge(
        &self,
        job_id: &str,
        answer: GetJobStatusResult,
    ) -> Result<Option<Finished>, ClusterError> {
        let Some(status) = answer.status else {
            return Err(ClusterError::Forgotten {
                address: self.address.clone(),
            });
        };
        match status.status {
            Some(job_status::Status::Successful(job)) => Ok(Some(Finished {
                job_id: job_id.to_owned(),
                partitions: job.partition_location,
                proxy: answer.flight_proxy,
            })),
            Some(job_status::Status::Failed(job)) => Err(ClusterError::Failed {
                address: self.address.clone(),
                words: job.error,
            }),
            Some(job_status::Status::Queued(_) | job_status::Status::Running(_)) | None => Ok(None),
        }
    }

    async fn cancel(&self, scheduler: &mut Scheduler, job_id: &str) {
        let job_id = job_id.to_owned();
        if let Err(status) = scheduler.cancel_job(CancelJobParams { job_id }).await {
            tracing::warn!(%status, "the job was not cancelled");
        }
    }

    /// The rows of a piece.
    pub async fn fetch(&self, piece: &Piece) -> Result<SendableRecordBatchStream, ClusterError> {
        let fetched = self.fetch_piece(piece).await;
        fetched.map_err(|source| self.not_fetched(source))
    }

    async fn fetch_piece(&self, piece: &Piece) -> EngineResult<SendableRecordBatchStream> {
        let incomplete = || internal_datafusion_err!("the scheduler does not say where rows are");
        let Piece { location, proxy } = piece;
        let executor = location.executor_meta.as_ref().ok_or_else(incomplete)?;
        let partition = location.partition_id.clone().ok_or_else(incomplete)?;
        let executor_port = u16::try_from(executor.port).map_err(|_| incomplete())?;
        let (host, port) = match proxy {
            Some(FlightProxy::Local(true)) => (in_url(&self.address.host), self.address.port),
            _ => (executor.host.clone(), executor_port),
        };
        let config = BallistaConfig::default();
        let grpc = GrpcClientConfig::from(&config);
        let mut flight = BallistaClient::try_new(
            &host,
            port,
            MAX_MESSAGE_BYTES as usize,
            false,
            None,
            grpc.io_retries_times,
            grpc.io_retry_wait_time_ms,
            0,
            0,
        )
        .await
        .map_err(|error| error.into_datafusion())?;
        flight
            .fetch_partition_proxied(
                &executor.id,
                &partition.into(),
                location.file_id,
                location.layout(),
                &executor.host,
                executor_port,
                true,
            )
            .await
            .map_err(|error| error.into_datafusion())
    }
}

/// Some of a job's rows, on one executor.
pub struct Piece {
    location: PartitionLocation,
    proxy: Option<FlightProxy>,
}

impl Finished {
    /// Where the rows are, in their order.
    pub fn pieces(&self) -> Vec<Piece> {
        let piece = |location: &PartitionLocation| Piece {
            location: location.clone(),
            proxy: self.proxy.clone(),
        };
        self.partitions.iter().map(piece).collect()
    }
}

/// A name for one job's settings: no two jobs of a scheduler share them.
fn session_id() -> String {
    ballista_core::ids::new_instance_id()
}

/// A plan that every executor can run.
fn some_row() -> EngineResult<Arc<dyn ExecutionPlan>> {
    let ready = Arc::new(BooleanArray::from(vec![true])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("ready", ready)])?;
    let schema = batch.schema();
    Ok(MemorySourceConfig::try_new_exec(
        &[vec![batch]],
        schema,
        None,
    )?)
}
