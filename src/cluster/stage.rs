//! What befalls a task on its executor: told with the executor's name, and tried elsewhere where the
//! trouble may be this machine's.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ballista_core::JobId;
use ballista_core::error::BallistaError;
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

use super::connections::Connections;
use super::{ClusterError, Site};

/// How long an executor waits after a task that its own trouble may have ended, so that it does not
/// take what others could do.
const WAITS_AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// Bytes for which a folder must have room.
const PROBE_BYTES: usize = 1 << 20;

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
        Ok(Arc::new(NamedStage {
            stage,
            site: self.site.clone(),
            work_dir: work_dir.into(),
        }))
    }
}

#[derive(Debug)]
struct NamedStage {
    stage: Arc<dyn QueryStageExecutor>,
    site: Arc<Site>,
    work_dir: PathBuf,
}

impl NamedStage {
    /// Ends the process where the disk is still full after what the task had written is gone: whatever
    /// is given to this executor would fail.
    fn leave_if_full(&self, error: &DataFusionError) {
        if !has_cause(error, is_full) {
            return;
        }
        if let Err(source) = probe(&self.work_dir) {
            self.site.give_up(ClusterError::WorkDir {
                place: self.work_dir.display().to_string(),
                source,
            });
        }
    }
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
        let name = context.task_id().unwrap_or_default();
        let _followed = self.site.follow(name);
        match self.stage.execute_query_stage(task_id, context).await {
            Err(error) if is_of_this_machine(&error) => {
                let words = self.site.words(&error);
                tracing::warn!("{words}");
                tokio::time::sleep(WAITS_AFTER_TROUBLE).await;
                self.leave_if_full(&error);
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
    has_cause(error, |cause| {
        is_full(cause) || cause.is::<object_store::Error>()
    })
}

fn is_full(cause: &(dyn Error + 'static)) -> bool {
    let cause = cause.downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == ErrorKind::StorageFull)
}

fn has_cause(error: &DataFusionError, holds: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if holds(error) {
            return true;
        }
        cause = match error.downcast_ref::<BallistaError>() {
            // It does not tell its causes as such.
            Some(BallistaError::IoError(error)) => Some(error),
            Some(BallistaError::ArrowError(error)) => Some(error),
            Some(BallistaError::DataFusionError(error)) => Some(error.as_ref()),
            _ => error.source(),
        };
    }
    false
}

/// Whether there is room for a little more in a folder.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!("probe-{}", std::process::id()));
    let written = std::fs::write(&path, vec![0; PROBE_BYTES]);
    // One that was not written cannot be removed.
    let _ = std::fs::remove_file(&path);
    written
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
            DataFusionError::External(Box::new(BallistaError::ArrowError(Box::new(arrow)))),
            DataFusionError::Shared(Arc::new(denied.into())),
        ] {
            assert!(is_of_this_machine(&error), "{error}");
            assert!(is_of_this_machine(&error.context("above")));
        }
        let other = DataFusionError::Execution("division by zero".to_owned());
        assert!(!is_of_this_machine(&other));
    }
}
