//! The units of stored plans as a crew asks for them, and the book of those that are done.

use std::collections::{HashMap, VecDeque};

use super::crew::{Plans, Work};
use super::plan::{Budget, StoredPlan};
use super::summary::Summary;
use super::{ConvertError, Run};
use crate::lake::{LakeError, Plan, Receipt, state};

/// Whose plans they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Of earlier runs: some of their units may be done.
    Earlier,
    ThisRun,
}

/// Gives plans out, one after another, as far as the budget reaches. They are read when their turn
/// comes: all of them would be too large for memory.
pub(super) struct Feed<'f, 'r> {
    run: &'f mut Run<'r>,
    origin: Origin,
    waiting: VecDeque<StoredPlan>,
    budget: Budget,
    is_spent: bool,
    given: VecDeque<Given>,
    /// Objects of units that no crew got.
    kept_back: u64,
}

/// What was given of a plan.
struct Given {
    path: String,
    /// The objects of each unit that is not done yet.
    units: HashMap<String, u64>,
    is_whole: bool,
}

impl<'f, 'r> Feed<'f, 'r> {
    pub fn new(run: &'f mut Run<'r>, origin: Origin, plans: Vec<StoredPlan>) -> Self {
        Self {
            budget: run.budget(),
            run,
            origin,
            waiting: plans.into(),
            is_spent: false,
            given: VecDeque::new(),
            kept_back: 0,
        }
    }

    /// Has the run's crew work on the plans; how many objects are left.
    pub fn work(mut self) -> Result<u64, ConvertError> {
        let (crew, store) = (self.run.workshop.crew.clone(), self.run.store);
        let deadline = self.run.bounds.deadline;
        let ended = crew.run(store, &mut self, deadline);
        for unit in self.run.lake.seen.replaced_in_units().into_keys() {
            self.run.dates.extend(self.run.lake.dates_of(unit));
        }
        ended?;
        while let Some(plan) = self.waiting.pop_front() {
            self.kept_back += match self.origin {
                Origin::ThisRun => plan.objects,
                Origin::Earlier => objects(&self.open(&plan.path)?),
            };
        }
        let given = self.given.iter().flat_map(|given| given.units.values());
        Ok(self.kept_back + given.sum::<u64>())
    }

    /// Reads a plan, with the units that have no receipt; one without any is finished.
    fn open(&mut self, path: &str) -> Result<Plan, LakeError> {
        let mut plan = state::read_plan(self.run.store, path)?;
        if self.origin == Origin::Earlier {
            tracing::info!(units = plan.units.len(), "finishing an interrupted run");
            for unit in &plan.units {
                self.run.dates.extend(self.run.lake.dates_of(&unit.unit));
            }
            let receipts = &self.run.lake.receipts;
            plan.units.retain(|unit| !receipts.contains_key(&unit.unit));
        }
        if plan.units.is_empty() {
            self.run.finished.insert(path.to_owned());
        }
        Ok(plan)
    }
}

impl Plans for Feed<'_, '_> {
    fn next(&mut self) -> Result<Option<Work>, ConvertError> {
        while !self.is_spent
            && let Some(StoredPlan { path, .. }) = self.waiting.pop_front()
        {
            let mut plan = self.open(&path)?;
            let fitting = plan.units.iter().take_while(|unit| {
                let sizes = unit.objects.iter().map(|object| object.size_bytes);
                self.budget.takes(sizes.sum())
            });
            let beyond = plan.units.split_off(fitting.count());
            self.is_spent = !beyond.is_empty();
            self.kept_back += beyond
                .iter()
                .map(|unit| unit.objects.len() as u64)
                .sum::<u64>();
            if plan.units.is_empty() {
                continue;
            }
            self.given.push_back(Given {
                path: path.clone(),
                units: plan
                    .units
                    .iter()
                    .map(|unit| (unit.unit.clone(), unit.objects.len() as u64))
                    .collect(),
                is_whole: beyond.is_empty(),
            });
            let workshop = self.run.workshop;
            let workshop = match self.origin {
                Origin::Earlier => {
                    workshop.with_rules(workshop.rules.with(plan.filter, plan.hashes))
                }
                Origin::ThisRun => workshop.clone(),
            };
            return Ok(Some(Work {
                workshop,
                plan: path,
                units: plan.units,
            }));
        }
        Ok(None)
    }

    fn done(&mut self, receipt: Receipt) {
        for object in &receipt.objects {
            if let Some(problem) = &object.problem {
                tracing::warn!(object = object.object.uri, "{problem}");
            }
        }
        // A receipt tells nothing here: a unit that failed has one too.
        let mut given = self.given.iter_mut();
        if let Some(at) = given.position(|given| given.units.remove(&receipt.unit).is_some())
            && self.given[at].units.is_empty()
            && let Some(given) = self.given.remove(at)
            && given.is_whole
        {
            self.run.finished.insert(given.path);
        }
        let add = match self.origin {
            Origin::Earlier => Summary::add_resumed,
            Origin::ThisRun => Summary::add,
        };
        add(&mut self.run.summary, &receipt);
        let dates = receipt.parts.iter().map(|part| part.dt.clone());
        self.run.dates.extend(dates);
        self.run.lake.add_receipt(receipt);
    }
}

fn objects(plan: &Plan) -> u64 {
    plan.units
        .iter()
        .map(|unit| unit.objects.len() as u64)
        .sum()
}
