//! Converts an archive into a lake: plans units, runs them, settles duplicates, sums up.
//!
//! A unit is a day's objects (by the key's date), cut at a bounded size. All plans are stored before
//! any unit runs and a unit is done when its receipt exists, so a run that ends early is finished
//! by the next one with the same units. Of a run that ended while it planned, the next one finishes
//! what is planned, and then plans the rest: no object ever stands in two plans.

pub mod crew;
mod feed;
pub mod keep;
pub mod object;
mod objects;
mod plan;
pub mod rules;
pub mod summary;
pub mod unit;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::archive::{Listing, ListingError, Objects};
use crate::lake::seen::Known;
use crate::lake::{LakeError, LakeState, Store, settle};
use feed::{Feed, Origin};
pub use plan::Sizes;
use plan::{Budget, Planner, StoredPlan, planned};
use summary::Summary;
pub use unit::{Progress, Workshop, convert_unit};

/// What ends a conversion early.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Listing(#[from] ListingError),
    #[error("interrupted; the next run continues with the unit at hand")]
    Interrupted,
    /// Those who were to run units could not: what they have done stays.
    #[error(transparent)]
    Crew(Box<dyn std::error::Error + Send + Sync>),
}

/// How far a run goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// What becomes of objects whose content changed under their names.
    pub changed: OnChange,
    /// Compressed bytes: of what earlier runs have left in whole units, then of new objects, the
    /// oldest first. At least one of these is taken.
    pub max_bytes: Option<u64>,
    /// No unit begins later.
    pub deadline: Option<Instant>,
    /// Where what is new is cut.
    pub sizes: Sizes,
}

/// What becomes of an object that was converted with another size or ETag. CloudTrail never writes
/// an object twice: it is a copy made otherwise, or was tampered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnChange {
    /// It is named and not read; what the lake has of it stays.
    #[default]
    Refuse,
    /// It is read, and what the lake has of its earlier content no longer counts.
    Redo,
}

/// Converts what is listed into the lake, after what earlier runs have left unfinished. Whoever
/// calls holds the lake's lock.
pub fn run(
    workshop: &Workshop,
    store: &Store,
    lake: &mut LakeState,
    listing: Listing,
    bounds: Bounds,
) -> Result<Summary, ConvertError> {
    lake.remove_leftovers(store)?;
    let mut run = Run {
        workshop,
        store,
        bounds,
        summary: Summary::of_listing(&listing),
        dates: BTreeSet::new(),
        finished: BTreeSet::new(),
        lake,
    };
    let converted = run
        .finish_plans()
        .and_then(|()| run.convert_new(listing.objects));
    let ended = match converted {
        // What was converted is settled all the same: it counts from now on.
        Ok(()) | Err(ConvertError::Interrupted) => {
            let settled = settle::settle(store, run.lake, &run.dates)?;
            run.summary.settle(settled, run.lake);
            converted
        }
        failed => failed,
    };
    ended?;
    // Two machines may have had one unit: what one of them wrote when the other's was settled already.
    if let Some(shares) = workshop.crew.shares()
        && shares.retries > 0
    {
        run.lake.remove_leftovers(store)?;
    }
    // Until here an early end leaves the plans, and with them what is to be settled.
    for path in &run.finished {
        store.delete(path).map_err(LakeError::from)?;
    }
    let finished = &run.finished;
    run.lake.unfinished.retain(|path| !finished.contains(path));
    run.summary.cluster = workshop.crew.shares();
    Ok(run.summary)
}

/// A conversion under way.
struct Run<'r> {
    workshop: &'r Workshop,
    store: &'r Store,
    bounds: Bounds,
    lake: &'r mut LakeState,
    summary: Summary,
    /// Event dates that were written to.
    dates: BTreeSet<String>,
    /// The plans of which no unit is left: they are deleted when what they have converted is settled.
    finished: BTreeSet<String>,
}

impl Run<'_> {
    /// What is left of the budget.
    fn budget(&self) -> Budget {
        Budget {
            bytes: self.summary.compressed_bytes,
            max_bytes: self.bounds.max_bytes.unwrap_or(u64::MAX),
        }
    }

    /// Finishes what earlier runs have left, as far as budget and time reach.
    fn finish_plans(&mut self) -> Result<(), ConvertError> {
        if self.lake.unfinished.is_empty() {
            return Ok(());
        }
        let paths = self.lake.unfinished.iter().cloned();
        let plans = paths.map(|path| StoredPlan { path, objects: 0 }).collect();
        Feed::new(self, Origin::Earlier, plans).work()?;
        // What the first attempt at a unit wrote and the second did not.
        self.lake.remove_leftovers(self.store)?;
        Ok(())
    }

    fn convert_new(&mut self, objects: Objects) -> Result<(), ConvertError> {
        let plans = self.plan_new(&objects)?;
        // Its memory and its file are of no use any more.
        drop(objects);
        let left = Feed::new(self, Origin::ThisRun, plans).work()?;
        self.summary.objects.deferred += left;
        Ok(())
    }

    /// Plans what is new, if nothing is left of earlier plans; all of it, before any of it is run.
    fn plan_new(&mut self, objects: &Objects) -> Result<Vec<StoredPlan>, ConvertError> {
        let rules = &self.workshop.rules;
        // They may stand in those plans: planned once more, they would be converted twice.
        let may_plan = self.finished.len() == self.lake.unfinished.len();
        let mut planner = Planner::new(self.store, rules, self.bounds.sizes, self.budget());
        for object in objects {
            if self.workshop.progress.interrupted.load(Ordering::Relaxed) {
                return Err(ConvertError::Interrupted);
            }
            let object = object?;
            let date = object.date;
            let mut object = planned(object);
            match self.lake.seen.judge(&object, &rules.filter) {
                Known::Done => {
                    self.summary.objects.already_done += 1;
                    continue;
                }
                Known::Changed { .. } if self.bounds.changed == OnChange::Refuse => {
                    self.summary.refuse_changed(object);
                    continue;
                }
                Known::Changed { contents } => object.replaces = contents,
                Known::New => {}
            }
            match may_plan {
                true => planner.take(date, object)?,
                false => self.summary.objects.deferred += 1,
            }
        }
        let planned = planner.finish()?;
        self.summary.objects.deferred += planned.deferred;
        let paths = planned.plans.iter().map(|plan| plan.path.clone());
        self.lake.unfinished.extend(paths);
        Ok(planned.plans)
    }
}
