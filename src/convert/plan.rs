//! Makes units of objects as they come, and stores them as plans before any of them is run.
//!
//! An archive may have more objects than memory has room for: they come day by day, and a plan is
//! stored as soon as it has as many as one file holds.

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::rules::Rules;
use crate::archive::ObjectRef;
use crate::lake::hex::hex;
use crate::lake::{FORMAT, LakeError, Plan, PlannedObject, PlannedUnit, Store, state};

/// Where units and plans are cut.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Where a unit of one day is cut, in compressed bytes.
    ///
    /// CloudTrail gzips about elevenfold and keeps sparse archives sparse: this makes parts of some
    /// tens of MB where a day has as much.
    pub unit_bytes: u64,
    /// Where a unit of one day is cut, in objects.
    pub unit_objects: usize,
    /// The most objects of a plan's units, unless it has only one.
    pub plan_objects: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            unit_bytes: 256 << 20,
            unit_objects: 50_000,
            plan_objects: 100_000,
        }
    }
}

/// The compressed bytes that a run may read.
pub(super) struct Budget {
    pub bytes: u64,
    pub max_bytes: u64,
}

impl Budget {
    /// Whether so much more is read. The first always is: every run comes further.
    pub fn takes(&mut self, size_bytes: u64) -> bool {
        let is_first = self.bytes == 0;
        self.bytes = self.bytes.saturating_add(size_bytes.max(1));
        is_first || self.bytes <= self.max_bytes
    }
}

/// An object of the listing, to be planned.
pub(super) fn planned(object: ObjectRef) -> PlannedObject {
    PlannedObject {
        uri: object.uri.into(),
        size_bytes: object.size,
        etag: object.etag.map(Into::into),
        replaces: 0,
    }
}

/// A plan that is stored, and whose units are read when their turn comes.
pub(super) struct StoredPlan {
    pub path: String,
    pub objects: u64,
}

/// What became of the objects that were to be planned.
pub(super) struct Planned {
    pub plans: Vec<StoredPlan>,
    /// Objects that lie beyond the budget.
    pub deferred: u64,
}

/// Makes units, a day's objects in the order of their names, cut at a bounded size.
pub(super) struct Planner<'p> {
    store: &'p Store,
    rules: &'p Rules,
    sizes: Sizes,
    budget: Budget,
    is_spent: bool,
    /// The day of the objects of the unit at hand.
    date: Option<Date>,
    unit: Vec<PlannedObject>,
    unit_bytes: u64,
    /// The units of the plan at hand.
    units: Vec<PlannedUnit>,
    units_objects: usize,
    planned: Planned,
}

impl<'p> Planner<'p> {
    pub fn new(store: &'p Store, rules: &'p Rules, sizes: Sizes, budget: Budget) -> Self {
        Self {
            store,
            rules,
            sizes,
            budget,
            is_spent: false,
            date: None,
            unit: Vec::new(),
            unit_bytes: 0,
            units: Vec::new(),
            units_objects: 0,
            planned: Planned {
                plans: Vec::new(),
                deferred: 0,
            },
        }
    }

    /// Takes the next object by date and name; from the first on that lies beyond the budget they are
    /// left to a later run.
    pub fn take(&mut self, date: Option<Date>, object: PlannedObject) -> Result<(), LakeError> {
        if self.is_spent || !self.budget.takes(object.size_bytes) {
            self.is_spent = true;
            self.planned.deferred += 1;
            return Ok(());
        }
        let is_cut = date != self.date
            || self.unit_bytes + object.size_bytes > self.sizes.unit_bytes
            || self.unit.len() >= self.sizes.unit_objects;
        if is_cut {
            self.close_unit()?;
        }
        self.date = date;
        self.unit_bytes += object.size_bytes;
        self.unit.push(object);
        Ok(())
    }

    /// Stores what is left.
    pub fn finish(mut self) -> Result<Planned, LakeError> {
        self.close_unit()?;
        self.store_plan()?;
        Ok(self.planned)
    }

    fn close_unit(&mut self) -> Result<(), LakeError> {
        if self.unit.is_empty() {
            return Ok(());
        }
        if self.units_objects + self.unit.len() > self.sizes.plan_objects {
            self.store_plan()?;
        }
        let day = match self.date {
            Some(date) => date.strftime("%Y%m%d").to_string(),
            None => "undated".to_owned(),
        };
        let objects = std::mem::take(&mut self.unit);
        self.unit_bytes = 0;
        self.units_objects += objects.len();
        self.units.push(named_unit(&day, objects, self.rules));
        Ok(())
    }

    fn store_plan(&mut self) -> Result<(), LakeError> {
        if self.units.is_empty() {
            return Ok(());
        }
        let plan = Plan {
            format: FORMAT,
            filter: self.rules.filter.clone(),
            hashes: self.rules.hashes,
            units: std::mem::take(&mut self.units),
        };
        let plans = &mut self.planned.plans;
        plans.push(StoredPlan {
            path: state::write_plan(self.store, &plan_name(plans.len(), &plan), &plan)?,
            objects: std::mem::take(&mut self.units_objects) as u64,
        });
        Ok(())
    }
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

/// The plans of a run are finished in the order of their names, which begins with the oldest days.
fn plan_name(number: usize, plan: &Plan) -> String {
    let mut hash = Sha256::new();
    for unit in &plan.units {
        hash.update(unit.unit.as_bytes());
        hash.update([0]);
    }
    format!("{number:06}-{}", short_hex(hash))
}

fn short_hex(hash: Sha256) -> String {
    hex(&hash.finalize()[..8])
}
