//! Converts an archive into a lake: plans units, runs them, settles duplicates, sums up.
//!
//! A unit is a day's objects (by the key's date), cut at a bounded size. The plan is stored before
//! any unit runs and a unit is done when its receipt exists, so a run that ends early is finished
//! by the next one with the same units.

pub mod crew;
pub mod keep;
pub mod object;
mod objects;
pub mod rules;
pub mod summary;
pub mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::archive::{Listing, ObjectKey, ObjectRef};
use crate::lake::hex::hex;
use crate::lake::seen::Known;
use crate::lake::state::Unfinished;
use crate::lake::{
    FORMAT, LakeError, LakeState, Plan, PlannedObject, PlannedUnit, Receipt, Store, settle, state,
};
use crew::Work;
use rules::Rules;
use summary::Summary;
pub use unit::{Progress, Workshop, convert_unit};

/// Where a unit of one day is cut, in compressed bytes.
///
/// CloudTrail gzips about elevenfold and keeps sparse archives sparse: this makes parts of some
/// tens of MB where a day has as much.
const UNIT_BYTES: u64 = 256 << 20;

/// Where a unit of one day is cut, in objects.
const UNIT_OBJECTS: usize = 50_000;

/// What ends a conversion early.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    Lake(#[from] LakeError),
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
    // Until here an early end leaves the plans, and with them what is to be settled.
    for plan in std::mem::take(&mut run.lake.unfinished) {
        match plan.units.is_empty() {
            true => store.delete(&plan.path).map_err(LakeError::from)?,
            false => run.lake.unfinished.push(plan),
        }
    }
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
}

/// The compressed bytes that a run may read.
struct Budget {
    bytes: u64,
    max_bytes: u64,
}

impl Budget {
    /// Whether so much more is read. The first always is: every run comes further.
    fn takes(&mut self, size_bytes: u64) -> bool {
        let is_first = self.bytes == 0;
        self.bytes = self.bytes.saturating_add(size_bytes.max(1));
        is_first || self.bytes <= self.max_bytes
    }
}

impl Run<'_> {
    /// What is left of the budget.
    fn budget(&self) -> Budget {
        Budget {
            bytes: self.summary.compressed_bytes,
            max_bytes: self.bounds.max_bytes.unwrap_or(u64::MAX),
        }
    }

    fn finish_plans(&mut self) -> Result<(), ConvertError> {
        for mut plan in std::mem::take(&mut self.lake.unfinished) {
            tracing::info!(units = plan.units.len(), "finishing an interrupted run");
            for unit in &plan.units {
                self.dates.extend(self.lake.dates_of(&unit.unit));
            }
            let receipts = &self.lake.receipts;
            plan.units.retain(|unit| !receipts.contains_key(&unit.unit));
            let rules = &self.workshop.rules;
            let rules = rules.with(plan.filter.clone(), plan.hashes);
            let workshop = self.workshop.with_rules(rules);
            self.run_plan(&workshop, plan, Summary::add_resumed)?;
        }
        Ok(())
    }

    fn convert_new(&mut self, objects: Vec<ObjectRef>) -> Result<(), ConvertError> {
        let rules = &self.workshop.rules;
        let mut new = Vec::new();
        for object in objects {
            let mut object = PlannedObject {
                uri: object.uri.into(),
                size_bytes: object.size,
                etag: object.etag.map(Into::into),
                replaces: 0,
            };
            match self.lake.seen.judge(&object, &rules.filter) {
                Known::Done => self.summary.objects.already_done += 1,
                Known::Changed { .. } if self.bounds.changed == OnChange::Refuse => {
                    self.summary.refuse_changed(object);
                }
                Known::Changed { contents } => {
                    object.replaces = contents;
                    new.push(object);
                }
                Known::New => new.push(object),
            }
        }
        let mut plans = self.lake.unfinished.iter();
        if plans.any(|plan| !plan.units.is_empty()) {
            // They may stand in that plan: planned once more, they would be converted twice.
            self.summary.objects.deferred += new.len() as u64;
            return Ok(());
        }
        let mut units = plan_units(new, rules);
        self.summary.objects.deferred += cut(&mut units, self.budget(), rules);
        if units.is_empty() {
            return Ok(());
        }
        let plan = Plan {
            format: FORMAT,
            filter: rules.filter.clone(),
            hashes: rules.hashes,
            units,
        };
        let path = state::write_plan(self.store, &plan_name(&plan), &plan)?;
        let plan = Unfinished {
            path,
            filter: plan.filter,
            hashes: plan.hashes,
            units: plan.units,
        };
        let left = self.run_plan(self.workshop, plan, Summary::add)?;
        self.summary.objects.deferred += left;
        Ok(())
    }

    /// Runs the units of a plan, as far as budget and time reach; returns how many objects are left.
    fn run_plan(
        &mut self,
        workshop: &Workshop,
        mut plan: Unfinished,
        add: fn(&mut Summary, &Receipt),
    ) -> Result<u64, ConvertError> {
        let mut budget = self.budget();
        let fitting = plan.units.iter().take_while(|unit| {
            let sizes = unit.objects.iter().map(|object| object.size_bytes);
            budget.takes(sizes.sum())
        });
        let units = &plan.units[..fitting.count()];
        let mut done = 0;
        let Self {
            store,
            lake,
            summary,
            dates,
            bounds,
            ..
        } = self;
        let work = Work {
            plan: &plan.path,
            units,
            deadline: bounds.deadline,
        };
        let ended = workshop.crew.run(workshop, store, &work, &mut |receipt| {
            done += 1;
            tell_problems(&receipt);
            add(summary, &receipt);
            dates.extend(receipt.parts.iter().map(|part| part.dt.clone()));
            lake.add_receipt(receipt);
        });
        for unit in self.lake.seen.replaced_in_units().into_keys() {
            self.dates.extend(self.lake.dates_of(unit));
        }
        // They end in their order. A receipt tells nothing here: a unit that failed has one too.
        plan.units.drain(..done);
        let left = plan.units.iter().map(|unit| unit.objects.len() as u64);
        let left = left.sum();
        // Finished or not: it is deleted when what it has converted is settled.
        self.lake.unfinished.push(plan);
        ended.map(|()| left)
    }
}

fn tell_problems(receipt: &Receipt) {
    for object in &receipt.objects {
        if let Some(problem) = &object.problem {
            tracing::warn!(object = object.object.uri, "{problem}");
        }
    }
}

/// Makes units of objects: a day's objects in the order of their names, cut at a bounded size.
fn plan_units(objects: Vec<PlannedObject>, rules: &Rules) -> Vec<PlannedUnit> {
    let mut days: BTreeMap<String, Vec<PlannedObject>> = BTreeMap::new();
    for object in objects {
        let day = match ObjectKey::parse(&object.uri).and_then(|key| key.date) {
            Some(date) => date.strftime("%Y%m%d").to_string(),
            None => "undated".to_owned(),
        };
        days.entry(day).or_default().push(object);
    }
    let mut units = Vec::new();
    for (day, mut objects) in days {
        objects.sort_by(|a, b| a.uri.cmp(&b.uri));
        let mut unit = Vec::new();
        let mut bytes = 0;
        for object in objects {
            if !unit.is_empty()
                && (bytes + object.size_bytes > UNIT_BYTES || unit.len() >= UNIT_OBJECTS)
            {
                units.push(named_unit(&day, std::mem::take(&mut unit), rules));
                bytes = 0;
            }
            bytes += object.size_bytes;
            unit.push(object);
        }
        units.push(named_unit(&day, unit, rules));
    }
    units
}

/// Leaves out what lies beyond the budget; returns how many objects that are.
fn cut(units: &mut Vec<PlannedUnit>, mut budget: Budget, rules: &Rules) -> u64 {
    let objects = |units: &[PlannedUnit]| units.iter().map(|u| u.objects.len() as u64).sum::<u64>();
    let before = objects(units);
    let mut kept = Vec::new();
    for unit in units.drain(..) {
        let fitting = unit.objects.iter();
        let fitting = fitting.take_while(|object| budget.takes(object.size_bytes));
        match fitting.count() {
            0 => break,
            all if all == unit.objects.len() => kept.push(unit),
            some => {
                let day = unit.unit.split('-').next().unwrap_or_default();
                let objects = unit.objects[..some].to_vec();
                kept.push(named_unit(day, objects, rules));
                break;
            }
        }
    }
    *units = kept;
    before - objects(units)
}

/// A unit's name is made from all that its bytes depend on.
fn named_unit(day: &str, objects: Vec<PlannedObject>, rules: &Rules) -> PlannedUnit {
    let mut hash = Sha256::new();
    let identity = (FORMAT, rules.keep.describe(), &rules.filter, &objects);
    hash.update(serde_json::to_vec(&identity).expect("plain data becomes JSON"));
    PlannedUnit {
        unit: format!("{day}-{}", short_hex(hash)),
        objects,
    }
}

fn plan_name(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    for unit in &plan.units {
        hash.update(unit.unit.as_bytes());
        hash.update([0]);
    }
    short_hex(hash)
}

fn short_hex(hash: Sha256) -> String {
    hex(&hash.finalize()[..8])
}
