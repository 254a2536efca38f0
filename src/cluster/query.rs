//! Questions to a lake, answered by a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ballista_core::extension::{SessionConfigExt, SessionConfigHelperExt};
use ballista_core::optimizer::ballista_default_optimizer_rules;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::optimizer::OptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionConfig;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::job::{Client, Finished, Tell};
use super::{Address, ClusterError, constant, ensure_full, joins, stores};
use crate::query::Engine;

/// A cluster as the engine of a session.
pub struct ClusterEngine {
    client: Client,
    lake: String,
    partitions: usize,
    interrupted: Arc<AtomicBool>,
    /// Whether an executor has answered.
    is_ready: OnceCell<bool>,
}

impl ClusterEngine {
    /// `lake` is the lake's place as executors open it; rows are divided into `partitions`, each of
    /// which is one task's. Set `interrupted` to cancel what runs.
    ///
    /// # Errors
    /// A folder's place that is not a full path: executors stand in other folders.
    pub fn new(
        address: Address,
        lake: &str,
        partitions: usize,
        interrupted: Arc<AtomicBool>,
        tell: Tell,
    ) -> Result<Self, ClusterError> {
        ensure_full(lake)?;
        Ok(Self {
            client: Client::new(address, tell),
            lake: lake.to_owned(),
            partitions,
            interrupted,
            is_ready: OnceCell::new(),
        })
    }
}

impl Engine for ClusterEngine {
    fn url(&self) -> Result<ObjectStoreUrl> {
        stores::url(&self.lake)
    }

    fn configure(&self, config: SessionConfig) -> SessionConfig {
        let ballista = config.ballista_config();
        config
            .with_option_extension(ballista)
            .ballista_restricted_configuration()
            .with_target_partitions(self.partitions)
            .with_ballista_job_name("dynatrail query")
    }

    fn rules(&self) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
        ballista_default_optimizer_rules()
    }

    fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: SessionConfig,
    ) -> BoxFuture<'_, Result<SendableRecordBatchStream>> {
        async move {
            let external = |error: ClusterError| DataFusionError::External(Box::new(error));
            let schema = plan.schema();
            let plan = joins::in_one_task(constant::fold(plan).await?)?;
            let waits = || self.client.wait_for_executor(None, &self.interrupted);
            self.is_ready
                .get_or_try_init(waits)
                .await
                .map_err(external)?;
            let is_unwanted = || self.interrupted.load(Ordering::Relaxed);
            let finished = self.client.run(plan, &config, is_unwanted).await;
            let finished = finished.map_err(external)?;
            let (client, interrupted) = (self.client.clone(), self.interrupted.clone());
            let batches =
                rows_of(client, finished).try_flatten().map(move |batch| {
                    match interrupted.load(Ordering::Relaxed) {
                        true => Err(external(ClusterError::Interrupted)),
                        false => batch,
                    }
                });
            let stream = RecordBatchStreamAdapter::new(schema, batches);
            Ok(Box::pin(stream) as SendableRecordBatchStream)
        }
        .boxed()
    }
}

/// A job's rows, piece after piece: their order is that of the rows. Executors keep them until the last
/// is here.
fn rows_of(
    client: Client,
    finished: Finished,
) -> impl futures::Stream<Item = Result<SendableRecordBatchStream>> + Send {
    let (fetching, last) = (client.clone(), client);
    let pieces = futures::stream::iter(finished.pieces()).then(move |piece| {
        let client = fetching.clone();
        async move {
            let fetched = client.fetch(&piece).await;
            fetched.map_err(|error| DataFusionError::External(Box::new(error)))
        }
    });
    let end = futures::stream::once(async move { last.forget(&finished).await });
    pieces.chain(end.filter_map(async |()| None))
}
