//! A conversion's client: gives units to a cluster, and takes the receipts that executors store.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK;
use ballista_core::extension::SessionConfigExt;
use datafusion::prelude::SessionConfig;
use futures::{StreamExt, TryStreamExt};
use rayon::prelude::*;
use tokio::runtime::Handle;

use super::job::{Client, Tell};
use super::node::{self, ConvertExec, Outcome, Report};
use super::site::now_ms;
use super::{Address, ClusterError, ensure_full};
use crate::convert::crew::{Crew, Plans, Share, Shares};
use crate::convert::unit::Turn;
use crate::convert::{ConvertError, Progress, Workshop, convert_unit};
use crate::lake::{Holder, Store, state};

/// Units of one job: its messages stay far below Ballista's limit, and no more than these are run
/// again where a client ends.
pub const UNITS_OF_JOB: usize = 1024;

/// Jobs at once: while the last units of one end, those of the next have begun.
const JOBS_UNDER_WAY: usize = 2;

/// How often units are given to the cluster before the client tries them itself.
const CLUSTER_ATTEMPTS: usize = 3;

/// Reports fetched at once.
const FETCHES_AT_ONCE: usize = 16;

/// Receipts read at once.
const RECEIPTS_AT_ONCE: usize = 64;

/// How often it is looked which units are done.
const LOOKED_EVERY: Duration = Duration::from_secs(2);

/// The share of the time that looking may take.
const LOOKING_SHARE: u32 = 20;

/// A cluster as those who run units.
pub struct ClusterCrew {
    client: Client,
    address: Address,
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
            client: Client::new(address.clone(), tell),
            address,
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
    fn run_job(&self, store: &Store, job: &Job) -> Result<usize, ConvertError> {
        let mut outcomes: HashMap<String, Outcome> = HashMap::new();
        let interrupted = &job.progress.interrupted;
        for _ in 0..CLUSTER_ATTEMPTS {
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
            let reports = self.reports(job.deadline, &units, interrupted);
            let reports = self
                .runtime
                .block_on(reports)
                .map_err(of_crew)
                // The jobs behind it are cancelled.
                .inspect_err(|_| interrupted.store(true, Ordering::Relaxed))?;
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
                Some(Outcome::Refused) | None => self.convert_here(store, given)?,
            }
        }
        Ok(job.units.len())
    }

    /// Converts a unit that no executor does.
    fn convert_here(&self, store: &Store, given: &Given) -> Result<(), ConvertError> {
        let Given { work, unit } = given;
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
        interrupted: &AtomicBool,
    ) -> Result<Vec<Report>, ClusterError> {
        let (version, format) = node::Job::version();
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let job = node::Job {
            version,
            format,
            lake: self.lake.clone(),
            holder: self.holder.clone(),
            deadline_ms: left.map(|left| now_ms() + left.as_millis() as u64),
        };
        let units = units
            .iter()
            .map(|given| (given.work.plan.as_str(), given.unit.as_str()));
        let plan = ConvertExec::of_units(job, units).map_err(ClusterError::Plan)?;
        let config = SessionConfig::new_with_ballista()
            .with_ballista_job_name("dynatrail convert")
            .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1);
        let is_unwanted = || interrupted.load(Ordering::Relaxed);
        let finished = self.client.run(plan, &config, is_unwanted).await?;
        let fetches = finished.into_pieces().map(async |piece| {
            let batches = self.client.fetch(&piece).await?.try_collect::<Vec<_>>();
            let batches = batches.await.map_err(|source| ClusterError::Fetch {
                address: self.address.clone(),
                source,
            })?;
            let reports = batches.iter().map(Report::read);
            let reports = reports.collect::<Result<Vec<_>, _>>();
            reports.map_err(ClusterError::Plan)
        });
        let fetched: Vec<Result<_, ClusterError>> = futures::stream::iter(fetches)
            .buffer_unordered(FETCHES_AT_ONCE)
            .collect()
            .await;
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
        looked_for: &LookedFor,
    ) -> Result<(), ConvertError> {
        std::thread::scope(|scope| {
            let mut jobs = Jobs {
                plans,
                deadline,
                waiting: VecDeque::new(),
            };
            let mut under_way = VecDeque::new();
            let mut is_ready = false;
            loop {
                while under_way.len() < JOBS_UNDER_WAY
                    && let Some(job) = jobs.next()?
                {
                    looked_for.add(&job);
                    if !is_ready {
                        let interrupted = &job.progress.interrupted;
                        let waits = self.client.wait_for_executor(deadline, interrupted);
                        is_ready = self.runtime.block_on(waits).map_err(of_crew)?;
                    }
                    if !is_ready {
                        return Ok(());
                    }
                    let job = Arc::new(job);
                    let running = job.clone();
                    let running = scope.spawn(move || self.run_job(store, &running));
                    under_way.push_back((job, running));
                }
                let Some((job, running)) = under_way.pop_front() else {
                    return Ok(());
                };
                let ended = running
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                let count = ended?;
                take_receipts(&job.progress, store, &job.units[..count], jobs.plans)?;
                looked_for.take(&job);
                if count < job.units.len() {
                    return Ok(());
                }
            }
        })
    }
}

fn of_crew(error: ClusterError) -> ConvertError {
    match error {
        ClusterError::Interrupted => ConvertError::Interrupted,
        error => ConvertError::Crew(Box::new(error)),
    }
}

/// A unit's plan without its objects: executors read them in the lake.
struct PlanOf {
    workshop: Workshop,
    plan: String,
}

/// A unit that is given away.
struct Given {
    work: Arc<PlanOf>,
    unit: String,
}

/// Units that the cluster gets at once.
struct Job {
    progress: Arc<Progress>,
    units: Vec<Given>,
    deadline: Option<Instant>,
}

/// Plans, cut and joined into jobs.
struct Jobs<'p> {
    plans: &'p mut dyn Plans,
    deadline: Option<Instant>,
    waiting: VecDeque<Given>,
}

impl Jobs<'_> {
    fn next(&mut self) -> Result<Option<Job>, ConvertError> {
        while self.waiting.len() < UNITS_OF_JOB
            && let Some(work) = self.plans.next()?
        {
            if let Some(object) = work.units.iter().find_map(|unit| unit.objects.first()) {
                let full = ensure_full(&object.uri);
                full.map_err(of_crew)?;
            }
            let of = Arc::new(PlanOf {
                workshop: work.workshop,
                plan: work.plan,
            });
            self.waiting
                .extend(work.units.into_iter().map(|unit| Given {
                    work: of.clone(),
                    unit: unit.unit,
                }));
        }
        let count = self.waiting.len().min(UNITS_OF_JOB);
        let units: Vec<Given> = self.waiting.drain(..count).collect();
        Ok(units
            .first()
            .map(|given| given.work.workshop.progress.clone())
            .map(|progress| Job {
                progress,
                units,
                deadline: self.deadline,
            }))
    }
}

/// The units under way, for the display: which of them are done stands in the lake.
#[derive(Default)]
struct LookedFor {
    progress: OnceLock<Arc<Progress>>,
    units: Mutex<HashSet<String>>,
    done: AtomicU64,
    ended: AtomicBool,
}

impl LookedFor {
    fn units(&self) -> MutexGuard<'_, HashSet<String>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, job: &Job) {
        let progress = self.progress.get_or_init(|| job.progress.clone());
        let count = job.units.len() as u64;
        progress.units_planned.fetch_add(count, Ordering::Relaxed);
        self.units()
            .extend(job.units.iter().map(|given| given.unit.clone()));
    }

    fn take(&self, job: &Job) {
        let mut units = self.units();
        for given in &job.units {
            units.remove(&given.unit);
        }
        let count = job.units.len() as u64;
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        self.tell(done);
    }

    fn tell(&self, done: u64) {
        if let Some(progress) = self.progress.get() {
            progress.units_done.fetch_max(done, Ordering::Relaxed);
        }
    }

    /// Looks now and then until the work ends.
    fn look(&self, store: &Store) {
        let mut wait = LOOKED_EVERY;
        let mut looked = Instant::now();
        while !self.ended.load(Ordering::Relaxed) {
            std::thread::park_timeout(wait.saturating_sub(looked.elapsed()));
            if looked.elapsed() < wait {
                continue;
            }
            let begun = Instant::now();
            // What cannot be listed now is listed the next time.
            if let Ok(found) = state::units_with_receipts(store) {
                let units = self.units();
                let done = units.iter().filter(|unit| found.contains(*unit)).count();
                self.tell(self.done.load(Ordering::Relaxed) + done as u64);
            }
            wait = LOOKED_EVERY.max(begun.elapsed() * LOOKING_SHARE);
            looked = Instant::now();
        }
    }
}

impl Crew for ClusterCrew {
    fn run(
        &self,
        store: &Store,
        plans: &mut dyn Plans,
        deadline: Option<Instant>,
    ) -> Result<(), ConvertError> {
        let looked_for = LookedFor::default();
        std::thread::scope(|scope| {
            let display = scope.spawn(|| looked_for.look(store));
            let run = self.run_jobs(store, plans, deadline, &looked_for);
            looked_for.ended.store(true, Ordering::Relaxed);
            display.thread().unpark();
            run
        })
    }

    fn shares(&self) -> Option<Shares> {
        Some(self.shares().clone())
    }
}

/// Reads receipts of units that are done, and hands them on in order.
fn take_receipts(
    progress: &Progress,
    store: &Store,
    units: &[Given],
    plans: &mut dyn Plans,
) -> Result<(), ConvertError> {
    for units in units.chunks(RECEIPTS_AT_ONCE) {
        let receipts = units
            .par_iter()
            .map(|given| state::read_receipt(store, &given.unit))
            .collect::<Result<Vec<_>, _>>()?;
        for receipt in receipts {
            progress.count(&receipt);
            plans.done(receipt);
        }
    }
    Ok(())
}
