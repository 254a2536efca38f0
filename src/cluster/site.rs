//! What an executor works with: its way to S3, and what it remembers of lakes and plans.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    LakeDescription, LakeError, ObjectStatus, Plan, PlannedUnit, Receipt, Store, lock, state,
};

/// Opens the place of a lake with the executor's own credentials; an error is told in words.
pub type Opener = Box<dyn Fn(&str) -> Result<Store, String> + Send + Sync>;

/// Plans that are kept in memory: those of the units at hand.
const PLANS_KEPT: usize = 2;

/// What an executor works with.
pub struct Site {
    name: String,
    open: Opener,
    archive: Arc<Archive>,
    runtime: Handle,
    lakes: Mutex<HashMap<String, Arc<Store>>>,
    plans: Mutex<VecDeque<(String, Arc<Plan>)>>,
    /// Why this executor takes no more tasks.
    given_up: Mutex<Option<ClusterError>>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({})", self.name)
    }
}

impl Site {
    /// `name` is told beside what this executor does; `runtime` waits for S3.
    pub fn new(name: &str, open: Opener, options: S3Options, runtime: Handle) -> Self {
        Self {
            name: name.to_owned(),
            open,
            archive: Arc::new(Archive::open(Vec::new(), options)),
            runtime,
            lakes: Mutex::default(),
            plans: Mutex::default(),
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

    fn plan(&self, store: &Store, path: &str) -> Result<Arc<Plan>, LakeError> {
        // Held while it is read: the other tasks want the same one.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let name = store.full_path(path);
        if let Some((_, plan)) = plans.iter().find(|(kept, _)| *kept == name) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(state::read_plan(store, path)?);
        plans.truncate(PLANS_KEPT - 1);
        plans.push_front((name, plan.clone()));
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
        let refused = |problem| Report {
            outcome: Outcome::Refused,
            problem: Some(problem),
            ..report.clone()
        };
        if job.deadline_ms.is_some_and(|deadline| now_ms() >= deadline) {
            return Ok(report);
        }
        let store = match self.lake(&job.lake) {
            Ok(store) => store,
            Err(words) => return Ok(refused(words)),
        };
        match self.convert(job, &store, (plan, unit), interrupted) {
            Ok((outcome, receipt)) => Ok(Report {
                outcome,
                objects: receipt.objects.len() as u64,
                compressed_bytes: receipt.objects.iter().map(|o| o.object.size_bytes).sum(),
                ..report
            }),
            Err(error @ SiteError::ClientGone(_)) => Err(self.words(&error)),
            Err(error) => Ok(refused(self.words(&error))),
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
        // By an executor that was lost before it could tell, or by a run that ended early.
        if let Some(receipt) = state::find_receipt(store, unit)? {
            return Ok((Outcome::Found, receipt));
        }
        let plan = self.plan(store, path)?;
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
            progress: Arc::new(Progress {
                interrupted: interrupted.clone(),
                ..Progress::default()
            }),
        };
        // A receipt must not say of objects that they cannot be read where this executor cannot.
        let accept = |objects: &[DecodedObject]| {
            ensure_held()?;
            let problem = |object: &DecodedObject| match object.status {
                ObjectStatus::Failed => object.problem.clone(),
                _ => None,
            };
            let problems = objects.iter().map_while(problem);
            match problems.clone().count() == objects.len() {
                true => Err(SiteError::NothingRead(
                    problems.into_iter().next().unwrap_or_default(),
                )),
                false => Ok(()),
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
            Some(error) => Err(error),
            None => Ok((Outcome::Converted, converted?)),
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
    #[error("none of the unit's objects can be read: {0}")]
    NothingRead(String),
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

/// Set when what a task would have given is not wanted any more.
#[derive(Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
