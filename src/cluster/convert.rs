//! A conversion's client: gives units to a cluster, and takes the receipts that executors store.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK;
use ballista_core::extension::SessionConfigExt;
use futures::{StreamExt, TryStreamExt};
use rayon::prelude::*;
use tokio::runtime::Handle;

use super::job::{Client, config};
use super::node::{ConvertExec, Job, Outcome, Report};
use super::site::now_ms;
use super::{Address, ClusterError};
use crate::convert::crew::{Crew, Share, Shares, Work};
use crate::convert::unit::Turn;
use crate::convert::{ConvertError, Workshop, convert_unit};
use crate::lake::{Holder, PlannedUnit, Receipt, Store, state};

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
    ) -> Result<Self, ClusterError> {
        ensure_full(lake)?;
        Ok(Self {
            client: Client::new(address.clone()),
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

    fn shares(&self) -> std::sync::MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the units of one job run; how many of them, from the first on, have a receipt then.
    fn run_job(
        &self,
        workshop: &Workshop,
        store: &Store,
        work: &Work<'_>,
        units: &[PlannedUnit],
    ) -> Result<usize, ConvertError> {
        let mut outcomes: HashMap<String, Outcome> = HashMap::new();
        for _ in 0..CLUSTER_ATTEMPTS {
            let open = |unit: &&PlannedUnit| {
                !matches!(
                    outcomes.get(&unit.unit),
                    Some(Outcome::Converted | Outcome::Found | Outcome::Left)
                )
            };
            let units: Vec<&str> = units.iter().filter(open).map(|u| u.unit.as_str()).collect();
            if units.is_empty() {
                break;
            }
            let interrupted = &workshop.progress.interrupted;
            let reports = self
                .runtime
                .block_on(self.reports(work, &units, interrupted))
                .map_err(|error| match error {
                    ClusterError::Interrupted => ConvertError::Interrupted,
                    error => ConvertError::Crew(Box::new(error)),
                })?;
            let count = units.len() as u64;
            for report in reports {
                let is_again = report.task >= count || report.earlier_stages > 0;
                self.shares().retries += u64::from(is_again);
                self.book(&report);
                outcomes.insert(report.unit, report.outcome);
            }
        }
        for (at, unit) in units.iter().enumerate() {
            match outcomes.get(&unit.unit) {
                Some(Outcome::Converted | Outcome::Found) => {}
                Some(Outcome::Left) => return Ok(at),
                Some(Outcome::Refused) | None => {
                    tracing::warn!(unit = unit.unit, "no executor converts it: it is done here");
                    convert_unit(workshop, store, unit, Turn::alone(), &mut |_| Ok(()))?;
                    self.shares().done_here += 1;
                }
            }
        }
        Ok(units.len())
    }

    /// Gives units to the cluster. Of those whose executor is lost by the time that its report is
    /// fetched there is none.
    async fn reports(
        &self,
        work: &Work<'_>,
        units: &[&str],
        interrupted: &AtomicBool,
    ) -> Result<Vec<Report>, ClusterError> {
        let (version, format) = Job::version();
        let left = work
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let job = Job {
            version,
            format,
            lake: self.lake.clone(),
            plan: work.plan.to_owned(),
            holder: self.holder.clone(),
            deadline_ms: left.map(|left| now_ms() + left.as_millis() as u64),
        };
        let plan = ConvertExec::of_units(job, units.iter().copied()).map_err(ClusterError::Plan)?;
        let config = config()
            .with_ballista_job_name("dynatrail convert")
            .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1);
        let finished = self.client.run(plan, &config, interrupted).await?;
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

    /// Tells the display how many units are done, until the work ends.
    fn look_for_receipts(
        workshop: &Workshop,
        store: &Store,
        units: &[PlannedUnit],
        before: u64,
        ended: &AtomicBool,
    ) {
        let wanted: HashSet<&str> = units.iter().map(|unit| unit.unit.as_str()).collect();
        let mut wait = LOOKED_EVERY;
        let mut looked = Instant::now();
        while !ended.load(Ordering::Relaxed) {
            std::thread::park_timeout(wait.saturating_sub(looked.elapsed()));
            if looked.elapsed() < wait {
                continue;
            }
            looked = Instant::now();
            // What cannot be listed now is listed the next time.
            if let Ok(units) = state::units_with_receipts(store) {
                let done = units.iter().filter(|unit| wanted.contains(unit.as_str()));
                let units_done = before + done.count() as u64;
                workshop
                    .progress
                    .units_done
                    .store(units_done, Ordering::Relaxed);
            }
            wait = LOOKED_EVERY.max(looked.elapsed() * LOOKING_SHARE);
            looked = Instant::now();
        }
    }

    fn run_all(
        &self,
        workshop: &Workshop,
        store: &Store,
        work: &Work<'_>,
        done: &mut dyn FnMut(Receipt),
    ) -> Result<(), ConvertError> {
        std::thread::scope(|scope| {
            let mut jobs = work.units.chunks(UNITS_OF_JOB);
            let mut under_way = VecDeque::new();
            loop {
                while under_way.len() < JOBS_UNDER_WAY
                    && let Some(units) = jobs.next()
                {
                    let job = scope.spawn(move || self.run_job(workshop, store, work, units));
                    under_way.push_back((units, job));
                }
                let Some((units, job)) = under_way.pop_front() else {
                    return Ok(());
                };
                let ended = job
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                let count = ended.inspect_err(|_| {
                    // The job behind it is cancelled.
                    workshop.progress.interrupted.store(true, Ordering::Relaxed);
                })?;
                take_receipts(workshop, store, &units[..count], done)?;
                if count < units.len() {
                    return Ok(());
                }
            }
        })
    }
}

impl Crew for ClusterCrew {
    fn run(
        &self,
        workshop: &Workshop,
        store: &Store,
        work: &Work<'_>,
        done: &mut dyn FnMut(Receipt),
    ) -> Result<(), ConvertError> {
        if let Some(unit) = work.units.first()
            && let Some(object) = unit.objects.first()
        {
            ensure_full(&object.uri).map_err(|error| ConvertError::Crew(Box::new(error)))?;
        }
        let progress = &workshop.progress;
        let before = progress.units_done.load(Ordering::Relaxed);
        let units = work.units.len() as u64;
        progress.units_planned.fetch_add(units, Ordering::Relaxed);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let display = scope
                .spawn(|| Self::look_for_receipts(workshop, store, work.units, before, &ended));
            let run = self.run_all(workshop, store, work, done);
            ended.store(true, Ordering::Relaxed);
            display.thread().unpark();
            if run.is_ok() {
                progress.units_done.store(before + units, Ordering::Relaxed);
            }
            run
        })
    }

    fn shares(&self) -> Option<Shares> {
        Some(self.shares().clone())
    }
}

/// Reads receipts of units that are done, and hands them on in order.
fn take_receipts(
    workshop: &Workshop,
    store: &Store,
    units: &[PlannedUnit],
    done: &mut dyn FnMut(Receipt),
) -> Result<(), ConvertError> {
    for units in units.chunks(RECEIPTS_AT_ONCE) {
        let receipts = units
            .par_iter()
            .map(|unit| state::read_receipt(store, &unit.unit))
            .collect::<Result<Vec<_>, _>>()?;
        for receipt in receipts {
            workshop.progress.count(&receipt);
            done(receipt);
        }
    }
    Ok(())
}

/// Refuses a place that means another folder to each process.
fn ensure_full(place: &str) -> Result<(), ClusterError> {
    match place.starts_with("s3://") || place.starts_with('/') {
        true => Ok(()),
        false => Err(ClusterError::RelativePath {
            place: place.to_owned(),
        }),
    }
}
