//! A conversion's client: gives units to a cluster, and takes the receipts that executors store.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ballista_core::config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK;
use ballista_core::extension::SessionConfigExt;
use datafusion::prelude::SessionConfig;
use futures::{StreamExt, TryStreamExt};
use rayon::prelude::*;
use tokio::runtime::Handle;

use super::job::{Client, Tell};
use super::node::{self, ConvertExec, Outcome, Report};
use super::site::now_ms;
use super::under_way::{Given, Job, Jobs, Looking, UnderWay};
use super::{Address, ClusterError, ensure_full};
use crate::convert::crew::{Crew, Plans, Share, Shares, cause, joined};
use crate::convert::unit::Turn;
use crate::convert::{ConvertError, convert_unit};
use crate::lake::{Holder, Store, state};

/// Jobs at once: while the last units of one end, those of the next have begun.
const JOBS_UNDER_WAY: usize = 2;

/// How often units are given to the cluster before the client tries them itself.
const CLUSTER_ATTEMPTS: usize = 3;

/// Reports fetched at once.
const FETCHES_AT_ONCE: usize = 16;

/// Receipts read at once.
const RECEIPTS_AT_ONCE: usize = 64;

/// A cluster as those who run units.
pub struct ClusterCrew {
    client: Client,
    runtime: Handle,
    lake: String,
    holder: Holder,
    shares: Mutex<Shares>,
}

impl ClusterCrew {
    /// `lake` is the lake's place as executors open it; `holder` has its lock while units run.
    ///
    /// # Errors
    /// A folder's place that is not a full path: executors stand in other folders.
    pub fn new(
        address: Address,
        runtime: Handle,
        lake: &str,
        holder: Holder,
        tell: Tell,
    ) -> Result<Self, ClusterError> {
        ensure_full(lake)?;
        Ok(Self {
            client: Client::new(address, tell),
            runtime,
            lake: lake.to_owned(),
            holder,
            shares: Mutex::default(),
        })
    }

    /// Whether the scheduler is there.
    pub async fn check(&self) -> Result<(), ClusterError> {
        self.client.check().await
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the units of one job run; how many of them, from the first on, have a receipt then.
    fn run_job(
        &self,
        store: &Store,
        job: &Job,
        under_way: &UnderWay,
    ) -> Result<usize, ConvertError> {
        let mut outcomes: HashMap<String, Outcome> = HashMap::new();
        for attempt in 0..CLUSTER_ATTEMPTS {
            let is_open = |given: &&Given| {
                !matches!(
                    outcomes.get(&given.unit),
                    Some(Outcome::Converted | Outcome::Found | Outcome::Left)
                )
            };
            let units: Vec<&Given> = job.units.iter().filter(is_open).collect();
            if units.is_empty() {
                break;
            }
            let is_unwanted = || under_way.is_stopped(job) || job.is_done.load(Ordering::Relaxed);
            let reports = self.reports(job.deadline, &units, attempt == 0, is_unwanted);
            let reports = match self.runtime.block_on(reports) {
                // The scheduler does not know that its last task has ended; the receipts do.
                Err(ClusterError::Interrupted) if !under_way.is_stopped(job) => break,
                reports => reports.map_err(of_crew)?,
            };
            let count = units.len() as u64;
            for report in reports {
                let is_again = report.task >= count || report.earlier_stages > 0;
                self.shares().retries += u64::from(is_again);
                self.book(&report);
                outcomes.insert(report.unit, report.outcome);
            }
        }
        for (at, given) in job.units.iter().enumerate() {
            match outcomes.get(&given.unit) {
                Some(Outcome::Converted | Outcome::Found) => {}
                Some(Outcome::Left) => return Ok(at),
                Some(Outcome::Refused) | None => {
                    if under_way.is_stopped(job) {
                        return Err(ConvertError::Interrupted);
                    }
                    if job.is_late() {
                        return Ok(at);
                    }
                    self.convert_here(store, given)?;
                }
            }
        }
        Ok(job.units.len())
    }

    /// Converts a unit that no executor does, as far as anybody knows.
    fn convert_here(&self, store: &Store, given: &Given) -> Result<(), ConvertError> {
        let Given { work, unit } = given;
        if state::find_complete_receipt(store, unit)?.is_some() {
            return Ok(());
        }
        tracing::warn!(unit, "no executor converts it: it is done here");
        let plan = state::read_plan(store, &work.plan)?;
        if let Some(unit) = plan.units.iter().find(|planned| planned.unit == *unit) {
            let accept = &mut |_: &[_]| Ok(());
            convert_unit(&work.workshop, store, unit, Turn::alone(), accept)?;
        }
        self.shares().done_here += 1;
        Ok(())
    }

    /// Gives units to the cluster. Of those whose executor is lost by the time that its report is
    /// fetched there is none.
    async fn reports(
        &self,
        deadline: Option<Instant>,
        units: &[&Given],
        needs_all: bool,
        is_unwanted: impl Fn() -> bool,
    ) -> Result<Vec<Report>, ClusterError> {
        let (version, format) = node::Job::version();
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let job = node::Job {
            version,
            format,
            lake: self.lake.clone(),
            holder: self.holder.clone(),
            deadline_ms: left.map(|left| now_ms() + left.as_millis() as u64),
            needs_all,
        };
        let units = units
            .iter()
            .map(|given| (given.work.plan.as_str(), given.unit.as_str()));
        let plan = ConvertExec::of_units(job, units).map_err(ClusterError::Plan)?;
        let config = SessionConfig::new_with_ballista()
            .with_ballista_job_name("dynatrail convert")
            .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1);
        let finished = self.client.run(plan, &config, is_unwanted).await?;
        let fetches = finished.pieces().into_iter().map(async |piece| {
            let batches = self.client.fetch(&piece).await?.try_collect::<Vec<_>>();
            let batches = batches
                .await
                .map_err(|source| self.client.not_fetched(source))?;
            let reports = batches.iter().map(Report::read);
            let reports = reports.collect::<Result<Vec<_>, _>>();
            reports.map_err(ClusterError::Plan)
        });
        let fetched: Vec<Result<_, ClusterError>> = futures::stream::iter(fetches)
            .buffer_unordered(FETCHES_AT_ONCE)
            .collect()
            .await;
        self.client.forget(&finished).await;
        let mut reports = Vec::new();
        for fetched in fetched {
            match fetched {
                Ok(found) => reports.extend(found.into_iter().flatten()),
                Err(error @ ClusterError::Fetch { .. }) => {
                    tracing::warn!(%error, "an executor is lost before it told what it has done");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(reports)
    }

    fn book(&self, report: &Report) {
        let mut shares = self.shares();
        match report.outcome {
            Outcome::Converted | Outcome::Found => {
                let share: &mut Share =
                    shares.executors.entry(report.executor.clone()).or_default();
                share.units += 1;
                share.objects += report.objects;
                share.compressed_bytes += report.compressed_bytes;
            }
            Outcome::Left => {}
            Outcome::Refused => {
                shares.refuse(report.problem.as_deref().unwrap_or("without a reason"));
            }
        }
    }

    /// Gives out jobs and takes their receipts, in order.
    fn run_jobs(
        &self,
        store: &Store,
        plans: &mut dyn Plans,
        deadline: Option<Instant>,
        under_way: &UnderWay,
    ) -> Result<(), ConvertError> {
        std::thread::scope(|scope| {
            let mut jobs = Jobs::of(plans, deadline);
            let mut running = VecDeque::new();
            let mut is_ready = false;
            loop {
                while running.len() < JOBS_UNDER_WAY
                    && let Some(job) = jobs.next().inspect_err(|_| under_way.fail())?
                {
                    let job = Arc::new(job);
                    under_way.add(&job);
                    if !is_ready {
                        let interrupted = &job.progress.interrupted;
                        let waits = self.client.wait_for_executor(deadline, interrupted);
                        is_ready = self.runtime.block_on(waits).map_err(of_crew)?;
                    }
                    if !is_ready {
                        return Ok(());
                    }
                    let work = job.clone();
                    let thread = scope.spawn(move || self.run_job(store, &work, under_way));
                    running.push_back((job, thread));
                }
                let Some((job, thread)) = running.pop_front() else {
                    return Ok(());
                };
                let ended = joined(thread);
                if matches!(ended, Ok(count) if count == job.units.len()) {
                    take_receipts(&job, store, jobs.plans)?;
                    under_way.take(&job);
                    continue;
                }
                // Of those behind it some units may be done.
                let (mut left, mut errors) = (vec![job], Vec::new());
                let mut hear = |ended: Result<usize, ConvertError>| {
                    if let Err(error) = ended {
                        under_way.fail();
                        errors.push(error);
                    }
                };
                hear(ended);
                for (job, thread) in running {
                    hear(joined(thread));
                    left.push(job);
                }
                return end_early(store, jobs.plans, &left, errors);
            }
        })
    }
}

/// What becomes of jobs of which not every unit is done. A job that failed has cancelled the others,
/// which know of that alone.
fn end_early(
    store: &Store,
    plans: &mut dyn Plans,
    jobs: &[Arc<Job>],
    errors: Vec<ConvertError>,
) -> Result<(), ConvertError> {
    let mut errors = errors.into_iter();
    let ended = match errors.next() {
        Some(first) => Err(cause(first, errors)),
        None => Ok(()),
    };
    if !matches!(ended, Ok(()) | Err(ConvertError::Interrupted)) {
        return ended;
    }
    let found = state::units_with_receipts(store)?;
    for job in jobs {
        let units = job.units.iter().filter(|given| found.contains(&given.unit));
        let units: Vec<&Given> = units.collect();
        for units in units.chunks(RECEIPTS_AT_ONCE) {
            let receipts = units
                .par_iter()
                .map(|given| state::find_complete_receipt(store, &given.unit))
                .collect::<Result<Vec<_>, _>>()?;
            for receipt in receipts.into_iter().flatten() {
                job.progress.count(&receipt);
                plans.done(receipt);
            }
        }
    }
    ended
}

fn of_crew(error: ClusterError) -> ConvertError {
    match error {
        ClusterError::Interrupted => ConvertError::Interrupted,
        error => ConvertError::Crew(Box::new(error)),
    }
}

impl Crew for ClusterCrew {
    fn run(
        &self,
        store: &Store,
        plans: &mut dyn Plans,
        deadline: Option<Instant>,
    ) -> Result<(), ConvertError> {
        let under_way = UnderWay::default();
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| under_way.look(store));
            let _looking = Looking(&under_way, looking.thread());
            self.run_jobs(store, plans, deadline, &under_way)
        })
    }

    fn shares(&self) -> Option<Shares> {
        Some(self.shares().clone())
    }
}

/// Reads the receipts of a job that is done, and hands them on in order.
fn take_receipts(job: &Job, store: &Store, plans: &mut dyn Plans) -> Result<(), ConvertError> {
    for units in job.units.chunks(RECEIPTS_AT_ONCE) {
        let receipts = units
            .par_iter()
            .map(|given| state::read_receipt(store, &given.unit))
            .collect::<Result<Vec<_>, _>>()?;
        for receipt in receipts {
            job.progress.count(&receipt);
            plans.done(receipt);
        }
    }
    Ok(())
}
