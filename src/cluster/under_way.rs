//! The units that a cluster has at once, cut into jobs, and what the lake tells of them meanwhile.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::ensure_full;
use crate::convert::crew::Plans;
use crate::convert::{ConvertError, Progress, Workshop};
use crate::lake::{Store, state};

/// Units of one job: its messages stay far below Ballista's limit, and no more than these are run
/// again where a client ends.
pub const UNITS_OF_JOB: usize = 1024;

/// How often it is looked which units are done.
const LOOKED_EVERY: Duration = Duration::from_secs(2);

/// How long all units of a job may have receipts before it is over, whatever the scheduler says.
const END_MAY_BE_LATE: Duration = Duration::from_secs(60);

/// The share of the time that looking may take.
const LOOKING_SHARE: u32 = 20;

/// A unit's plan without its objects: executors read them in the lake.
pub struct PlanOf {
    pub workshop: Workshop,
    pub plan: String,
}

/// A unit that is given away.
pub struct Given {
    pub work: Arc<PlanOf>,
    pub unit: String,
}

/// Units that the cluster gets at once.
pub struct Job {
    pub progress: Arc<Progress>,
    pub units: Vec<Given>,
    pub deadline: Option<Instant>,
    /// Since when all of its units have been seen to have receipts.
    all_seen: Mutex<Option<Instant>>,
    /// Set when nobody needs to wait any longer that the scheduler says so.
    pub is_done: AtomicBool,
}

impl Job {
    /// Whether no unit may begin any more.
    pub fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Counts units that have receipts; where that are all of them, and for long, looks whether they
    /// are done. What an executor tells of its last task can be lost on the way to the scheduler, which
    /// then waits for ever.
    fn look(&self, store: &Store, found: &HashSet<String>) -> usize {
        let seen = self
            .units
            .iter()
            .filter(|given| found.contains(&given.unit));
        let seen = seen.count();
        let mut all_seen = self.all_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen < self.units.len() {
            *all_seen = None;
        } else if all_seen.get_or_insert_with(Instant::now).elapsed() >= END_MAY_BE_LATE {
            // Those of an earlier run tell of objects that could not be read.
            let is_done = self.units.par_iter().all(|given| {
                let receipt = state::find_complete_receipt(store, &given.unit);
                receipt.is_ok_and(|receipt| receipt.is_some())
            });
            self.is_done.store(is_done, Ordering::Relaxed);
            *all_seen = None;
        }
        seen
    }
}

/// Plans, cut and joined into jobs.
pub struct Jobs<'p> {
    pub plans: &'p mut dyn Plans,
    deadline: Option<Instant>,
    waiting: VecDeque<Given>,
}

impl<'p> Jobs<'p> {
    pub fn of(plans: &'p mut dyn Plans, deadline: Option<Instant>) -> Self {
        Self {
            plans,
            deadline,
            waiting: VecDeque::new(),
        }
    }

    pub fn next(&mut self) -> Result<Option<Job>, ConvertError> {
        while self.waiting.len() < UNITS_OF_JOB
            && let Some(work) = self.plans.next()?
        {
            for object in work.units.iter().flat_map(|unit| &unit.objects) {
                ensure_full(&object.uri).map_err(|error| ConvertError::Crew(Box::new(error)))?;
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
                all_seen: Mutex::default(),
                is_done: AtomicBool::new(false),
            }))
    }
}

/// The jobs under way, as those who watch them see them: which of their units are done stands in the
/// lake.
#[derive(Default)]
pub struct UnderWay {
    progress: OnceLock<Arc<Progress>>,
    jobs: Mutex<Vec<Arc<Job>>>,
    done: AtomicU64,
    /// Set when one of them failed: the others are cancelled.
    has_failed: AtomicBool,
    ended: AtomicBool,
}

impl UnderWay {
    fn jobs(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn fail(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Whether a job is to end before its end.
    pub fn is_stopped(&self, job: &Job) -> bool {
        self.has_failed.load(Ordering::Relaxed) || job.progress.interrupted.load(Ordering::Relaxed)
    }

    pub fn add(&self, job: &Arc<Job>) {
        let progress = self.progress.get_or_init(|| job.progress.clone());
        let count = job.units.len() as u64;
        progress.units_planned.fetch_add(count, Ordering::Relaxed);
        self.jobs().push(job.clone());
    }

    pub fn take(&self, job: &Arc<Job>) {
        let mut jobs = self.jobs();
        jobs.retain(|known| !Arc::ptr_eq(known, job));
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
    pub fn look(&self, store: &Store) {
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
                let jobs = self.jobs();
                let seen: usize = jobs.iter().map(|job| job.look(store, &found)).sum();
                self.tell(self.done.load(Ordering::Relaxed) + seen as u64);
            }
            wait = LOOKED_EVERY.max(begun.elapsed() * LOOKING_SHARE);
            looked = Instant::now();
        }
    }
}

/// Ends the looking, also where the work ends in a panic.
pub struct Looking<'l>(pub &'l UnderWay, pub &'l Thread);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}
