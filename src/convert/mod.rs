//! Converts an archive into a lake: plans units, runs them, settles duplicates, sums up.
//!
//! A unit is a day's objects (by the key's date), cut at a bounded size. The plan is stored before
//! any unit runs and a unit is done when its receipt exists, so a run that ends early is finished
//! by the next one with the same units.

pub mod keep;
pub mod object;
mod objects;
pub mod summary;
pub mod unit;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::ScopedJoinHandle;

use sha2::{Digest, Sha256};

use crate::archive::{Listing, ObjectKey};
use crate::lake::{
    FORMAT, LakeError, LakeState, Plan, PlannedObject, PlannedUnit, Receipt, Store, settle, state,
};
use object::Rules;
use summary::Summary;
pub use unit::{Progress, Turn, Workshop, convert_unit};

/// Where a unit of one day is cut, in compressed bytes.
///
/// CloudTrail gzips about elevenfold and keeps sparse archives sparse: this makes parts of some
/// tens of MB where a day has as much.
const UNIT_BYTES: u64 = 256 << 20;

/// Where a unit of one day is cut, in objects.
const UNIT_OBJECTS: usize = 50_000;

/// Units under way at once: one is finished, one decoded, one fetched.
const UNITS_UNDER_WAY: usize = 3;

/// What ends a conversion early.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("interrupted; the next run continues with the unit at hand")]
    Interrupted,
}

/// Converts what is listed into the lake, after what earlier runs have left unfinished.
pub fn run(workshop: &Workshop, store: &Store, listing: Listing) -> Result<Summary, ConvertError> {
    let mut lake = LakeState::open_or_create(store, &workshop.rules.keep.describe())?;
    lake.remove_leftovers(store)?;
    let mut summary = Summary::of_listing(&listing);
    let mut plans = Vec::new();
    let mut dates = BTreeSet::new();

    for plan in std::mem::take(&mut lake.unfinished) {
        tracing::info!(units = plan.units.len(), "finishing an interrupted run");
        for unit in &plan.units {
            dates.extend(lake.dates_of(&unit.unit));
        }
        let mut units = plan.units;
        units.retain(|unit| !lake.receipts.contains_key(&unit.unit));
        let rules = workshop.rules.with_filter(plan.filter);
        run_units(
            &workshop.with_rules(rules),
            store,
            &mut lake,
            &units,
            |receipt| {
                summary.add_resumed(receipt);
                dates.extend(receipt.parts.iter().map(|part| part.dt.clone()));
            },
        )?;
        plans.push(plan.path);
    }

    let filter = &workshop.rules.filter;
    let planned = listing.objects.into_iter().map(|object| PlannedObject {
        uri: object.uri.into(),
        size_bytes: object.size,
        etag: object.etag.map(Into::into),
    });
    let (done, new): (Vec<_>, Vec<_>) = planned.partition(|object| lake.is_done(object, filter));
    summary.objects.already_done += done.len() as u64;
    drop(done);
    let units = plan_units(new, &workshop.rules);
    if !units.is_empty() {
        let plan = Plan {
            format: FORMAT,
            filter: filter.clone(),
            units,
        };
        plans.push(state::write_plan(store, &plan_name(&plan), &plan)?);
        run_units(workshop, store, &mut lake, &plan.units, |receipt| {
            summary.add(receipt);
            dates.extend(receipt.parts.iter().map(|part| part.dt.clone()));
        })?;
    }
    let settled = settle::settle(store, &mut lake, &dates)?;
    // Until here an early end leaves the plans, and with them what is to be settled.
    for plan in plans {
        store.delete(&plan).map_err(LakeError::from)?;
    }
    summary.settle(settled, &lake);
    Ok(summary)
}

/// Runs the units in their order. Each is fetched while the one before it is decoded, and decoded
/// while the one before it is finished: so neither the cores nor the network wait.
fn run_units(
    workshop: &Workshop,
    store: &Store,
    lake: &mut LakeState,
    units: &[PlannedUnit],
    mut done: impl FnMut(&Receipt),
) -> Result<(), ConvertError> {
    let mut finish = |running: ScopedJoinHandle<'_, Result<Receipt, ConvertError>>| {
        let converted = running
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let receipt = converted.inspect_err(|_| {
            // Those behind it end as well.
            workshop.progress.interrupted.store(true, Ordering::Relaxed);
        })?;
        for object in &receipt.objects {
            if let Some(problem) = &object.problem {
                tracing::warn!(object = object.object.uri, "{problem}");
            }
        }
        done(&receipt);
        lake.add_receipt(receipt);
        Ok::<(), ConvertError>(())
    };
    std::thread::scope(|scope| {
        let mut under_way = VecDeque::new();
        let (_, mut may_decode) = mpsc::channel();
        for unit in units {
            if workshop.progress.interrupted.load(Ordering::Relaxed) {
                return Err(ConvertError::Interrupted);
            }
            tracing::debug!(
                unit = unit.unit,
                objects = unit.objects.len(),
                "unit begins"
            );
            let (turn, fetched, next) = Turn::after(may_decode);
            may_decode = next;
            let running = scope.spawn(move || convert_unit(workshop, store, unit, turn));
            // Nothing is ever sent: the end of the channel is the sign.
            let _ = fetched.recv();
            under_way.push_back(running);
            if under_way.len() == UNITS_UNDER_WAY
                && let Some(first) = under_way.pop_front()
            {
                finish(first)?;
            }
        }
        under_way.into_iter().try_for_each(&mut finish)?;
        Ok(())
    })
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
    let digest = hash.finalize();
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
