//! What befalls a task on its executor: told with the executor's name, and tried elsewhere where the
//! trouble may be this machine's.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use ballista_core::JobId;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{
    DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;

use super::Site;
use super::connections::Connections;

/// How long an executor waits after a task that its own trouble may have ended, so that it does not
/// take what others could do.
const WAITS_AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// The engine's own way to run tasks, whose errors name this executor.
pub struct NamingEngine {
    engine: DefaultExecutionEngine,
    site: Arc<Site>,
}

impl NamingEngine {
    pub fn new(site: Arc<Site>) -> Self {
        Self {
            engine: DefaultExecutionEngine::with_client_pool(Arc::new(Connections::default())),
            site,
        }
    }
}

impl ExecutionEngine for NamingEngine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        partitions: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let stage = self.engine.create_query_stage_exec(
            job_id, stage_id, task_id, partitions, plan, work_dir, config,
        )?;
        let site = self.site.clone();
        Ok(Arc::new(NamedStage { stage, site }))
    }
}

#[derive(Debug)]
struct NamedStage {
    stage: Arc<dyn QueryStageExecutor>,
    site: Arc<Site>,
}

impl fmt::Display for NamedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(f)
    }
}

#[async_trait::async_trait]
impl QueryStageExecutor for NamedStage {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        match self.stage.execute_query_stage(task_id, context).await {
            Err(error) if is_of_this_machine(&error) => {
                let words = self.site.words(&error);
                tracing::warn!("{words}");
                tokio::time::sleep(WAITS_AFTER_TROUBLE).await;
                // What Ballista tries elsewhere is an error of input and output.
                Err(DataFusionError::IoError(io::Error::other(words)))
            }
            // Ballista looks below a context for rows that another executor lost.
            Err(error) => Err(error.context(format!("executor {}", self.site.name()))),
            done => done,
        }
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.stage.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.stage.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.stage.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.stage.collect_column_stats()
    }
}

/// Whether another executor may fare better: a full disk, a store that cannot be reached or read.
fn is_of_this_machine(error: &DataFusionError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(ErrorKind::StorageFull) || error.is::<object_store::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;

    use super::*;

    #[test]
    fn trouble_is_known_below_what_wraps_it() {
        let full = || io::Error::from(ErrorKind::StorageFull);
        let arrow = ArrowError::IoError("written".to_owned(), full());
        let denied = object_store::Error::PermissionDenied {
            path: "a".to_owned(),
            source: "no".into(),
        };
        for error in [
            DataFusionError::IoError(full()),
            DataFusionError::External(Box::new(arrow)),
            DataFusionError::Shared(Arc::new(denied.into())),
        ] {
            assert!(is_of_this_machine(&error), "{error}");
            assert!(is_of_this_machine(&error.context("above")));
        }
        let other = DataFusionError::Execution("division by zero".to_owned());
        assert!(!is_of_this_machine(&other));
    }
}
