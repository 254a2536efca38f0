//! What an executor works with: its way to S3, and what it remembers of lakes and plans.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;

use super::ClusterError;
use super::node::{Job, Outcome, Report};
use crate::archive::{Archive, S3Options};
use crate::convert::crew::ThisMachine;
use crate::convert::keep::Keep;
use crate::convert::object::DecodedObject;
use crate::convert::rules::{MAX_KEPT_BYTES, Rules};
use crate::convert::unit::{Turn, error_chain};
use crate::convert::{ConvertError, Progress, Workshop, convert_unit};
use crate::lake::{
    Holder, LakeDescription, LakeError, Plan, PlannedUnit, Receipt, Store, lock, state,
};

/// Opens the place of a lake with the executor's own credentials; an error is told in words.
pub type Opener = Box<dyn Fn(&str) -> Result<Store, String> + Send + Sync>;

/// A plan's path, and the run that has units of it done: a lake that was made anew may have another plan
/// under the same name.
type PlanKey = (String, Holder);

/// Plans that are kept in memory: those of the units at hand.
const PLANS_KEPT: usize = 2;

/// What an executor works with.
pub struct Site {
    name: String,
    open: Opener,
    archive: Arc<Archive>,
    runtime: Handle,
    slots: usize,
    lakes: Mutex<HashMap<String, Arc<Store>>>,
    plans: Mutex<VecDeque<(PlanKey, Arc<Plan>)>>,
    /// Of tasks under way, by their names: set when what they would give is not wanted any more.
    unwanted: Mutex<HashMap<String, Arc<AtomicBool>>>,
    /// Set when the process was told to end.
    is_leaving: AtomicBool,
    /// Why this executor takes no more tasks.
    given_up: Mutex<Option<ClusterError>>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({})", self.name)
    }
}

impl Site {
    /// `name` is told beside what this executor does; `runtime` waits for S3; `slots` are the tasks at
    /// once.
    pub fn new(
        name: &str,
        open: Opener,
        options: S3Options,
        runtime: Handle,
        slots: usize,
    ) -> Self {
        Self {
            name: name.to_owned(),
            open,
            archive: Arc::new(Archive::open(Vec::new(), options)),
            runtime,
            slots,
            lakes: Mutex::default(),
            plans: Mutex::default(),
            unwanted: Mutex::default(),
            is_leaving: AtomicBool::new(false),
            given_up: Mutex::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// An error of this executor, in words that name it.
    pub fn words(&self, error: &dyn std::error::Error) -> String {
        format!("executor {}: {}", self.name, error_chain(error))
    }

    /// Ends this executor as a person would who tells the process to: the scheduler hears of it.
    pub fn give_up(&self, reason: ClusterError) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if given_up.replace(reason).is_none() {
            let own = rustix::process::getpid();
            if let Err(error) = rustix::process::kill_process(own, rustix::process::Signal::TERM) {
                tracing::error!(%error, "cannot end this process");
            }
        }
    }

    /// Why it has given up, if it has.
    pub fn reason(&self) -> Option<ClusterError> {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.take()
    }

    /// From here on nothing is written: the scheduler gives to others what this executor has at hand.
    pub fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    fn unwanted(&self) -> MutexGuard<'_, HashMap<String, Arc<AtomicBool>>> {
        self.unwanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a task until what is returned is dropped, be it at its end or where it is cancelled:
    /// the engine lets what a task has begun go on.
    pub fn follow(self: &Arc<Self>, task: String) -> Followed {
        self.unwanted().insert(task.clone(), Arc::default());
        Followed {
            site: self.clone(),
            task,
        }
    }

    /// Whether a task that is followed is not wanted any more.
    pub fn unwanted_flag(&self, task: &str) -> Arc<AtomicBool> {
        self.unwanted().get(task).cloned().unwrap_or_default()
    }

    /// A lake, opened when it is first asked for.
    pub fn lake(&self, place: &str) -> Result<Arc<Store>, String> {
        let mut lakes = self.lakes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = lakes.get(place) {
            return Ok(store.clone());
        }
        let named = |words| format!("executor {}: {words}", self.name);
        let store = Arc::new((self.open)(place).map_err(named)?);
        lakes.insert(place.to_owned(), store.clone());
        Ok(store)
    }

    fn plan(&self, store: &Store, path: &str, holder: &Holder) -> Result<Arc<Plan>, LakeError> {
        // Held while it is read: the other tasks want the same one.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (store.full_path(path), holder.clone());
        if let Some((_, plan)) = plans.iter().find(|(kept, _)| *kept == key) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(state::read_plan(store, path)?);
        plans.truncate(PLANS_KEPT - 1);
        plans.push_front((key, plan.clone()));
        Ok(plan)
    }

    /// Converts a unit, unless it is done, or its time is over. Blocks.
    ///
    /// What goes wrong is a report too: the client decides who tries it next. Without a client there is
    /// none: an error ends the job.
    pub fn work(
        &self,
        job: &Job,
        plan: &str,
        unit: &str,
        interrupted: &Arc<AtomicBool>,
    ) -> Result<Report, String> {
        let report = Report {
            unit: unit.to_owned(),
            executor: self.name.clone(),
            outcome: Outcome::Left,
            ..Report::default()
        };
        if job.deadline_ms.is_some_and(|deadline| now_ms() >= deadline) {
            return Ok(report);
        }
        let store = match self.lake(&job.lake) {
            Ok(store) => store,
            Err(words) => return Ok(self.refuses(unit, words)),
        };
        match self.convert(job, &store, (plan, unit), interrupted) {
            Ok((outcome, receipt)) => Ok(Report {
                outcome,
                objects: receipt.objects.len() as u64,
                compressed_bytes: receipt.objects.iter().map(|o| o.object.size_bytes).sum(),
                ..report
            }),
            Err(error @ SiteError::ClientGone(_)) => Err(self.words(&error)),
            Err(error) => Ok(self.refuses(unit, self.words(&error))),
        }
    }

    /// The report of a unit that this executor does not convert.
    pub fn refuses(&self, unit: &str, problem: String) -> Report {
        Report {
            unit: unit.to_owned(),
            executor: self.name.clone(),
            outcome: Outcome::Refused,
            problem: Some(problem),
            ..Report::default()
        }
    }

    fn convert(
        &self,
        job: &Job,
        store: &Store,
        (path, unit): (&str, &str),
        interrupted: &Arc<AtomicBool>,
    ) -> Result<(Outcome, Receipt), SiteError> {
        let ensure_held = || match lock::is_held_by(store, &job.holder) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SiteError::ClientGone(store.place())),
            Err(error) => Err(SiteError::Convert(error.into())),
        };
        ensure_held()?;
        if let Some(receipt) = state::find_complete_receipt(store, unit)? {
            return Ok((Outcome::Found, receipt));
        }
        let plan = self.plan(store, path, &job.holder)?;
        let missing = || SiteError::NotInPlan(path.to_owned());
        let planned: &PlannedUnit = plan
            .units
            .iter()
            .find(|planned| planned.unit == unit)
            .ok_or_else(missing)?;
        let description = LakeDescription::of(store)?;
        let keep = Keep::described(&description.selection)
            .ok_or(SiteError::Selection(description.selection))?;
        let workshop = Workshop {
            archive: self.archive.clone(),
            crew: Arc::new(ThisMachine),
            rules: Arc::new(Rules {
                keep,
                filter: plan.filter.clone(),
                hashes: plan.hashes,
                max_kept_bytes: MAX_KEPT_BYTES,
            }),
            runtime: self.runtime.clone(),
            units_at_once: self.slots,
            progress: Arc::new(Progress {
                interrupted: interrupted.clone(),
                ..Progress::default()
            }),
        };
        let accept = |objects: &[DecodedObject]| {
            ensure_held()?;
            if self.is_leaving() || interrupted.load(Ordering::Relaxed) {
                return Err(SiteError::GivenToOthers);
            }
            ensure_read(objects, job.needs_all)?;
            // Another one that was given it has done it meanwhile: what is settled since must not
            // come back.
            match state::find_complete_receipt(store, unit)? {
                Some(receipt) => Err(SiteError::Found(Box::new(receipt))),
                None => Ok(()),
            }
        };
        let mut unaccepted = None;
        let converted = convert_unit(&workshop, store, planned, Turn::alone(), &mut |objects| {
            accept(objects).map_err(|error| {
                unaccepted = Some(error);
                ConvertError::Interrupted
            })
        });
        match unaccepted {
            Some(SiteError::Found(receipt)) => Ok((Outcome::Found, *receipt)),
            Some(error) => Err(error),
            None => Ok((Outcome::Converted, converted?)),
        }
    }
}

/// Refuses a unit of which no object could be read, or where all are needed not every one: a receipt must
/// not say of objects that they are gone or cannot be read where this executor alone cannot.
fn ensure_read(objects: &[DecodedObject], needs_all: bool) -> Result<(), SiteError> {
    let unread = || objects.iter().filter(|object| !object.status.is_done());
    let count = unread().count();
    let is_refused = count > 0 && (needs_all || count == objects.len());
    match unread().next() {
        Some(first) if is_refused => Err(SiteError::NotRead {
            count,
            of: objects.len(),
            problem: first.problem.clone().unwrap_or_default(),
        }),
        _ => Ok(()),
    }
}

/// A task that is under way.
pub struct Followed {
    site: Arc<Site>,
    task: String,
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(flag) = self.site.unwanted().remove(&self.task) {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

/// Why an executor does not convert a unit.
#[derive(Debug, thiserror::Error)]
enum SiteError {
    #[error("the client that gave the work does not hold the lock of {0} any more")]
    ClientGone(String),
    #[error("the unit does not stand in {0}")]
    NotInPlan(String),
    #[error("the lake keeps {0:?}, which this version does not know")]
    Selection(String),
    #[error("{count} of the unit's {of} objects cannot be read, the first: {problem}")]
    NotRead {
        count: usize,
        of: usize,
        problem: String,
    },
    #[error("the unit is given to others: this task was cancelled, or this executor told to end")]
    GivenToOthers,
    #[error("another executor has done the unit")]
    Found(Box<Receipt>),
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

impl From<LakeError> for SiteError {
    fn from(error: LakeError) -> Self {
        Self::Convert(error.into())
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}
