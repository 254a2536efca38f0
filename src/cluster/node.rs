//! The plan's node that converts: units in, reports of what became of them out.
//!
//! It stands above a table of units in memory and is no source of rows itself: Ballista gives each
//! task its piece of the sources that it knows, and all of a source that it does not know to every
//! task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_datafusion_err, internal_datafusion_err, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::site::Site;
use crate::lake::{FORMAT, Holder};

/// How long an executor waits after a unit that it could not convert, so that one which fails at
/// once does not take what others could do.
const WAITS_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What all units of a job share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The program that plans: an executor of another one refuses.
    pub version: String,
    pub format: u32,
    /// The lake's place, as every executor can open it.
    pub lake: String,
    /// Who holds the lake's lock while the job runs.
    pub holder: Holder,
    /// No unit begins later; milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// Whether a unit of which some objects cannot be read is given back: another executor may.
    pub needs_all: bool,
}

impl Job {
    pub fn version() -> (String, u32) {
        (env!("CARGO_PKG_VERSION").to_owned(), FORMAT)
    }
}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    Converted,
    /// It had a receipt before.
    Found,
    /// The job's time was over.
    #[default]
    Left,
    /// This executor cannot convert it.
    Refused,
}

const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Converted, "converted"),
    (Outcome::Found, "found"),
    (Outcome::Left, "left"),
    (Outcome::Refused, "refused"),
];

/// What an executor tells of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    pub unit: String,
    pub executor: String,
    pub outcome: Outcome,
    pub problem: Option<String>,
    /// The task's number within its stage: one that takes the place of another has a higher one than
    /// all before.
    pub task: u64,
    /// How often the whole stage was begun before.
    pub earlier_stages: u64,
    pub objects: u64,
    pub compressed_bytes: u64,
}

impl Report {
    fn schema() -> SchemaRef {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let number = |name| Field::new(name, DataType::UInt64, false);
        Arc::new(Schema::new(vec![
            text("unit"),
            text("executor"),
            text("outcome"),
            text("problem"),
            number("task"),
            number("earlier_stages"),
            number("objects"),
            number("compressed_bytes"),
        ]))
    }

    fn batch(&self) -> Result<RecordBatch> {
        let outcome = OUTCOMES
            .iter()
            .find(|(outcome, _)| *outcome == self.outcome);
        let outcome = outcome.map(|(_, name)| *name);
        let text = |text: Option<&str>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let number = |number| Arc::new(UInt64Array::from(vec![number])) as ArrayRef;
        let columns = vec![
            text(Some(&self.unit)),
            text(Some(&self.executor)),
            text(outcome),
            text(self.problem.as_deref()),
            number(self.task),
            number(self.earlier_stages),
            number(self.objects),
            number(self.compressed_bytes),
        ];
        Ok(RecordBatch::try_new(Self::schema(), columns)?)
    }

    /// The reports of a batch.
    pub fn read(batch: &RecordBatch) -> Result<Vec<Self>> {
        let wrong = || internal_datafusion_err!("an executor answered with other columns");
        if *batch.schema() != *Self::schema() {
            return Err(wrong());
        }
        let text = |column: usize, row: usize| {
            let column = batch.column(column).as_string::<i32>();
            column.iter().nth(row).flatten().map(str::to_owned)
        };
        let number = |column: usize, row: usize| {
            let column = batch.column(column).as_primitive::<UInt64Type>();
            column.value(row)
        };
        let report = |row| {
            let outcome = text(2, row).ok_or_else(wrong)?;
            let outcome = OUTCOMES.iter().find(|(_, name)| *name == outcome);
            Ok(Self {
                unit: text(0, row).ok_or_else(wrong)?,
                executor: text(1, row).ok_or_else(wrong)?,
                outcome: outcome.ok_or_else(wrong)?.0,
                problem: text(3, row),
                task: number(4, row),
                earlier_stages: number(5, row),
                objects: number(6, row),
                compressed_bytes: number(7, row),
            })
        };
        (0..batch.num_rows()).map(report).collect()
    }
}

/// Converts the units that its input names.
#[derive(Debug)]
pub struct ConvertExec {
    /// Or why this executor does none of it.
    pub job: Result<Job, String>,
    input: Arc<dyn ExecutionPlan>,
    /// None where the plan is only planned.
    site: Option<Arc<Site>>,
    properties: Arc<PlanProperties>,
}

impl ConvertExec {
    pub fn new(
        job: Result<Job, String>,
        input: Arc<dyn ExecutionPlan>,
        site: Option<Arc<Site>>,
    ) -> Self {
        let partitions = input.properties().partitioning.partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Report::schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            job,
            input,
            site,
            properties: Arc::new(properties),
        }
    }

    /// A plan that converts units, each for itself: the path of a unit's plan in the lake, and its name.
    pub fn of_units<'u>(
        job: Job,
        units: impl Iterator<Item = (&'u str, &'u str)>,
    ) -> Result<Arc<Self>> {
        let text = |name| Field::new(name, DataType::Utf8, false);
        let schema = Arc::new(Schema::new(vec![text("plan"), text("unit")]));
        let batch = |(plan, unit)| {
            let text = |text| Arc::new(StringArray::from(vec![text])) as ArrayRef;
            let columns = vec![text(plan), text(unit)];
            RecordBatch::try_new(schema.clone(), columns).map(|batch| vec![batch])
        };
        let partitions = units.map(batch).collect::<Result<Vec<_>, _>>()?;
        let input = MemorySourceConfig::try_new_exec(&partitions, schema, None)?;
        Ok(Arc::new(Self::new(Ok(job), input, None)))
    }
}

impl DisplayAs for ConvertExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.job {
            Ok(job) => write!(f, "ConvertExec: lake={}", job.lake),
            Err(words) => write!(f, "ConvertExec: {words}"),
        }
    }
}

impl ExecutionPlan for ConvertExec {
    fn name(&self) -> &str {
        "ConvertExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children.as_slice() else {
            return internal_err!("ConvertExec has one input");
        };
        let (job, site) = (self.job.clone(), self.site.clone());
        Ok(Arc::new(Self::new(job, input.clone(), site)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(site) = self.site.clone() else {
            return internal_err!("units are converted by executors");
        };
        let name = context.task_id().unwrap_or_default();
        let (task, earlier_stages) = numbers(&name);
        let unwanted = site.unwanted_flag(&name);
        let job = Arc::new(self.job.clone());
        let reports = self
            .input
            .execute(partition, context)?
            .and_then(move |batch| {
                let (site, job, unwanted) = (site.clone(), job.clone(), unwanted.clone());
                async move {
                    let column = |at: usize| batch.column(at).as_string::<i32>().iter().flatten();
                    let units = column(0).zip(column(1));
                    let units: Vec<(String, String)> = units
                        .map(|(plan, unit)| (plan.to_owned(), unit.to_owned()))
                        .collect();
                    let work = move |(plan, unit): (String, String)| {
                        let (site, job, unwanted) = (site.clone(), job.clone(), unwanted.clone());
                        async move {
                            let work = move || match job.as_ref() {
                                Ok(job) => site.work(job, &plan, &unit, &unwanted),
                                Err(words) => Ok(site.refuses(&unit, words.clone())),
                            };
                            let report = tokio::task::spawn_blocking(work)
                                .await
                                .map_err(|error| exec_datafusion_err!("{error}"))?
                                .map_err(|words| exec_datafusion_err!("{words}"))?;
                            if report.outcome == Outcome::Refused {
                                tracing::warn!(unit = report.unit, problem = report.problem);
                                tokio::time::sleep(WAITS_AFTER_FAILURE).await;
                            }
                            let report = Report {
                                task,
                                earlier_stages,
                                ..report
                            };
                            report.batch()
                        }
                    };
                    Ok(futures::stream::iter(units).then(work))
                }
            })
            .try_flatten();
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, reports)))
    }
}

/// The number of a task and of its stage's attempt, by its name:
/// `TID job/stage.attempt/task.attempt`.
fn numbers(name: &str) -> (u64, u64) {
    let mut parts = name.rsplit('/').map(|part| part.split_once('.'));
    let mut number = |of: fn((&str, &str)) -> Option<u64>| parts.next().flatten().and_then(of);
    let task = number(|(task, _)| task.parse().ok());
    let stage = number(|(_, attempt)| attempt.parse().ok());
    (task.unwrap_or(0), stage.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_numbered_by_their_names() {
        assert_eq!(numbers("TID 7Qx3/1.0/5.0"), (5, 0));
        assert_eq!(numbers("TID 7Qx3/1.2/17.1"), (17, 2));
        assert_eq!(numbers("other"), (0, 0));
    }

    #[test]
    fn reports_come_back_as_they_were() {
        let report = Report {
            unit: "20250101-0".to_owned(),
            executor: "a:1".to_owned(),
            outcome: Outcome::Refused,
            problem: Some("no".to_owned()),
            task: 1,
            earlier_stages: 4,
            objects: 2,
            compressed_bytes: 3,
        };
        let batch = report.batch().expect("plain values");
        assert_eq!(Report::read(&batch).expect("own columns"), vec![report]);
        let other = batch.project(&[0, 1]).expect("two columns");
        assert!(Report::read(&other).is_err());
    }
}
