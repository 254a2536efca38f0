//! Plans: several of them are as one, a run that planned in part is finished, and what a planned unit
//! has written is left alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dynatrail::archive::{Listing, ObjectRef, Objects, S3Options, Selection, Source};
use dynatrail::convert::crew::{Crew, Plans, ThisMachine, Work};
use dynatrail::convert::keep::Keep;
use dynatrail::convert::rules::{MAX_KEPT_BYTES, Rules};
use dynatrail::convert::summary::Summary;
use dynatrail::convert::{self, Bounds, ConvertError, Progress, Sizes, Workshop};
use dynatrail::lake::receipt::EventFilter;
use dynatrail::lake::{LakeState, Receipt, Store, state};
use tokio::runtime::Runtime;

use crate::archive_made::{Archive, event};
use crate::product::{files, path};

/// Runs so many units and is then interrupted.
struct Interrupted(AtomicUsize);

impl Interrupted {
    fn after(units: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(units)))
    }
}

impl Crew for Interrupted {
    fn run(
        &self,
        store: &Store,
        plans: &mut dyn Plans,
        deadline: Option<Instant>,
    ) -> Result<(), ConvertError> {
        let mut some = First {
            plans,
            left: self.0.load(Ordering::Relaxed),
            is_cut: false,
        };
        ThisMachine.run(store, &mut some, deadline)?;
        self.0.store(some.left, Ordering::Relaxed);
        match some.is_cut {
            true => Err(ConvertError::Interrupted),
            false => Ok(()),
        }
    }
}

/// The first units of plans.
struct First<'p> {
    plans: &'p mut dyn Plans,
    left: usize,
    is_cut: bool,
}

impl Plans for First<'_> {
    fn next(&mut self) -> Result<Option<Work>, ConvertError> {
        if self.is_cut {
            return Ok(None);
        }
        let work = self.plans.next()?;
        Ok(work.map(|mut work| {
            self.is_cut = work.units.len() > self.left;
            work.units.truncate(self.left);
            self.left -= work.units.len();
            work
        }))
    }

    fn done(&mut self, receipt: Receipt) {
        self.plans.done(receipt);
    }
}

/// Six days of two accounts, several units a day, with copies, and objects without a date.
struct Site {
    archive: Archive,
    runtime: Runtime,
}

/// Units of up to two objects.
const ONE_PLAN: Sizes = Sizes {
    unit_bytes: 1 << 20,
    unit_objects: 2,
    plan_objects: 1000,
};

const SEVERAL_PLANS: Sizes = Sizes {
    plan_objects: 5,
    ..ONE_PLAN
};

/// Objects of the site, and the units that they are.
const OBJECTS: u64 = 6 * 2 * 3 + 3;
const UNITS: usize = 6 * 3 + 2;

impl Site {
    fn new() -> Self {
        let archive = Archive::new();
        for day in 1..=6 {
            for account in ["444455556666", "111122223333"] {
                for object in 0..3 {
                    let id = |number: usize| format!("{account}-{day}-{object}-{number}");
                    let mut events: Vec<_> = (0..5).map(|n| event(&id(n), day)).collect();
                    events.push(event("copy", 1));
                    archive.object(account, day, &object.to_string(), &events);
                }
            }
        }
        for number in 0..3 {
            let text = serde_json::json!({"Records": [event(&format!("undated-{number}"), 3)]});
            fs::write(
                archive.root().join(format!("{number}.json")),
                text.to_string(),
            )
            .unwrap();
        }
        let runtime = Runtime::new().expect("a runtime");
        Self { archive, runtime }
    }

    fn archive(&self) -> dynatrail::archive::Archive {
        let source = Source::parse(path(&self.archive.root())).expect("a source");
        dynatrail::archive::Archive::open(vec![source], S3Options::default())
    }

    fn listing(&self) -> Listing {
        let archive = self.archive();
        let selection = Selection::everything();
        let listing = archive.list(&selection, &|_| ());
        self.runtime.block_on(listing).expect("listed")
    }

    fn lake(&self, name: &str) -> PathBuf {
        self.archive.lake(name)
    }

    fn convert(
        &self,
        lake: &Path,
        crew: Arc<dyn Crew>,
        bounds: Bounds,
    ) -> Result<Summary, ConvertError> {
        self.convert_listing(lake, self.listing(), crew, bounds)
    }

    fn convert_listing(
        &self,
        lake: &Path,
        listing: Listing,
        crew: Arc<dyn Crew>,
        bounds: Bounds,
    ) -> Result<Summary, ConvertError> {
        let store = Store::local(lake);
        let workshop = Workshop {
            archive: Arc::new(self.archive()),
            crew,
            rules: Arc::new(Rules {
                keep: Keep::dynamodb(),
                filter: EventFilter::default(),
                hashes: false,
                max_kept_bytes: MAX_KEPT_BYTES,
            }),
            runtime: self.runtime.handle().clone(),
            progress: Arc::new(Progress::default()),
            units_at_once: 1,
        };
        let selection = workshop.rules.keep.describe();
        let mut state = LakeState::open_or_create(&store, &selection).expect("a lake");
        let summary = convert::run(&workshop, &store, &mut state, listing, bounds)?;
        assert!(summary.identities.hold());
        let reloaded = LakeState::load(&store).expect("a lake");
        assert_eq!(state.unfinished, reloaded.unfinished);
        Ok(summary)
    }

    fn finish(&self, lake: &Path, sizes: Sizes) -> Summary {
        let summary = self.convert(lake, Arc::new(ThisMachine), bounds(sizes));
        let summary = summary.expect("it comes to its end");
        assert_eq!(plans(lake), Vec::<PathBuf>::new());
        summary
    }

    /// The lake of an undisturbed run with one plan.
    fn whole(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let lake = self.lake("whole");
        let summary = self.finish(&lake, ONE_PLAN);
        assert_eq!(summary.objects.converted, OBJECTS);
        assert_eq!(summary.written.units as usize, UNITS);
        files(&lake)
    }
}

fn bounds(sizes: Sizes) -> Bounds {
    Bounds {
        sizes,
        ..Bounds::default()
    }
}

fn plans(lake: &Path) -> Vec<PathBuf> {
    let plans = lake.join("_dynatrail/plans");
    let mut plans: Vec<PathBuf> = match fs::read_dir(plans) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    plans.sort();
    plans
}

/// The plans of a lake, and the objects of all their units; none stands there twice.
fn planned(lake: &Path) -> Vec<Vec<(String, Vec<String>)>> {
    let store = Store::local(lake);
    let mut seen = BTreeSet::new();
    let paths = LakeState::load(&store).expect("a lake").unfinished;
    let plans = paths.iter().map(|path| {
        let plan = state::read_plan(&store, path).expect("a plan");
        let units = plan.units.into_iter();
        let units = units.map(|unit| {
            let uris = unit.objects.into_iter().map(|object| object.uri);
            (unit.unit, uris.collect())
        });
        units.collect::<Vec<(String, Vec<String>)>>()
    });
    let plans: Vec<_> = plans.collect();
    for uri in plans.iter().flatten().flat_map(|(_, uris)| uris) {
        assert!(seen.insert(uri.clone()), "{uri} is planned twice");
    }
    plans
}

#[test]
fn a_listing_that_spilled_is_planned_as_one_that_did_not() {
    let site = Site::new();
    let objects: Vec<ObjectRef> = site.listing().objects.into_sorted_vec().unwrap();
    let stop = |name: &str, sizes, most_in_memory, objects: Vec<ObjectRef>| {
        let folder = tempfile::tempdir().expect("temp folder");
        let mut listing = Listing {
            objects: Objects::bounded(most_in_memory, folder.path()),
            ..Listing::default()
        };
        for object in objects {
            listing.admit(&Selection::everything(), object);
        }
        listing.finish().expect("a folder");
        let lake = site.lake(name);
        let ended = site.convert_listing(&lake, listing, Interrupted::after(0), bounds(sizes));
        assert!(matches!(ended, Err(ConvertError::Interrupted)));
        lake
    };
    let turned: Vec<ObjectRef> = objects.iter().rev().cloned().collect();
    for (name, sizes) in [("one", ONE_PLAN), ("several", SEVERAL_PLANS)] {
        let kept = stop(&format!("kept-{name}"), sizes, 1000, objects.clone());
        let spilled = stop(&format!("spilled-{name}"), sizes, 2, turned.clone());
        assert!(files(&kept) == files(&spilled));
    }
    let (one, several) = (
        planned(&site.lake("kept-one")),
        planned(&site.lake("kept-several")),
    );
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].len(), UNITS);
    assert_eq!(several.len(), UNITS.div_ceil(2));
    // In their order they are the units of the one plan.
    assert_eq!(one[0], several.concat());
    let objects_of =
        |plan: &[(String, Vec<String>)]| plan.iter().map(|(_, u)| u.len()).sum::<usize>();
    assert!(several.iter().all(|plan| objects_of(plan) <= 5));
}

#[test]
fn several_plans_give_the_lake_of_one() {
    let site = Site::new();
    let whole = site.whole();
    let lake = site.lake("several");
    let summary = site.finish(&lake, SEVERAL_PLANS);
    assert_eq!(
        (summary.objects.converted, summary.objects.deferred),
        (OBJECTS, 0)
    );
    assert!(files(&lake) == whole);
    // Each larger than what a plan holds.
    let lake = site.lake("smallest");
    let smallest = Sizes {
        plan_objects: 1,
        ..ONE_PLAN
    };
    site.finish(&lake, smallest);
    assert!(files(&lake) == whole);
}

#[test]
fn a_run_that_ended_among_its_plans_is_finished_to_the_same_bytes() {
    let site = Site::new();
    let whole = site.whole();
    for units in 0..UNITS {
        let lake = site.lake(&format!("broken-{units}"));
        let ended = site.convert(&lake, Interrupted::after(units), bounds(SEVERAL_PLANS));
        assert!(matches!(ended, Err(ConvertError::Interrupted)));
        assert_eq!(planned(&lake).len(), UNITS.div_ceil(2));
        // However the next run cuts plans.
        let sizes = if units % 2 == 0 {
            ONE_PLAN
        } else {
            SEVERAL_PLANS
        };
        let summary = site.finish(&lake, sizes);
        assert_eq!(summary.resumed_units as usize, UNITS - units);
        assert!(files(&lake) == whole, "after {units} units");
    }
}

#[test]
fn a_run_that_ended_while_it_planned_leaves_plans_that_are_finished_first() {
    let site = Site::new();
    let whole = site.whole();
    for written in 1..UNITS.div_ceil(2) {
        let lake = site.lake(&format!("broken-{written}"));
        let ended = site.convert(&lake, Interrupted::after(0), bounds(SEVERAL_PLANS));
        assert!(ended.is_err());
        for plan in &plans(&lake)[written..] {
            fs::remove_file(plan).unwrap();
        }
        let left: usize = planned(&lake)
            .concat()
            .iter()
            .map(|(_, uris)| uris.len())
            .sum();
        let before = plans(&lake);
        // One unit of the left plans, then time or budget are spent: nothing is planned.
        let scarce = Bounds {
            max_bytes: Some(1),
            ..bounds(SEVERAL_PLANS)
        };
        let late = Bounds {
            deadline: Some(Instant::now()),
            ..bounds(SEVERAL_PLANS)
        };
        let summary = site.convert(&lake, Arc::new(ThisMachine), scarce).unwrap();
        assert_eq!(summary.resumed_units, 1);
        assert_eq!(summary.objects.deferred, OBJECTS - 2);
        let state = LakeState::load(&Store::local(&lake)).unwrap();
        assert_eq!(
            state.objects_left(&Store::local(&lake)).unwrap(),
            left as u64 - 2
        );
        let summary = site.convert(&lake, Arc::new(ThisMachine), late).unwrap();
        assert_eq!(summary.resumed_units, 0);
        assert!(plans(&lake).iter().all(|plan| before.contains(plan)));
        planned(&lake);
        let summary = site.finish(&lake, SEVERAL_PLANS);
        assert_eq!(summary.objects.converted, OBJECTS - left as u64);
        assert!(files(&lake) == whole, "after {written} plans");
    }
}

/// What is beyond the budget or the time is left, and counted.
#[test]
fn budget_and_time_reach_over_several_plans() {
    let site = Site::new();
    let whole = site.whole();
    let listing = site.listing();
    let sizes: Vec<u64> = listing
        .objects
        .iter()
        .map(|object| object.unwrap().size)
        .collect();
    let run = |name: &str, bounds: Bounds| {
        let lake = site.lake(name);
        (
            site.convert(&lake, Arc::new(ThisMachine), bounds).unwrap(),
            lake,
        )
    };
    for objects in [1, 4, 9, 38] {
        let max_bytes = Some(sizes[..objects].iter().sum());
        let mut summaries = Vec::new();
        for (name, sizes) in [("one", ONE_PLAN), ("several", SEVERAL_PLANS)] {
            let budget = Bounds {
                max_bytes,
                ..bounds(sizes)
            };
            let (summary, lake) = run(&format!("{name}-{objects}"), budget);
            assert_eq!(summary.objects.converted, objects as u64);
            assert_eq!(summary.objects.deferred, OBJECTS - objects as u64);
            assert!(plans(&lake).is_empty());
            summaries.push(files(&lake));
        }
        assert!(summaries[0] == summaries[1], "{objects}");
    }
    let late = Bounds {
        deadline: Some(Instant::now()),
        ..bounds(SEVERAL_PLANS)
    };
    let (summary, lake) = run("late", late);
    assert_eq!(
        (summary.objects.converted, summary.objects.deferred),
        (0, OBJECTS)
    );
    assert_eq!(planned(&lake).len(), UNITS.div_ceil(2));
    site.finish(&lake, ONE_PLAN);
    assert!(files(&lake) == whole);
}

/// Another machine may still be at work on a planned unit: what it wrote stays until the unit is done,
/// and what the unit did not write again goes.
#[test]
fn parts_of_planned_units_stay_until_the_unit_is_done() {
    let site = Site::new();
    let whole = site.whole();
    let lake = site.lake("lake");
    let ended = site.convert(&lake, Interrupted::after(1), bounds(SEVERAL_PLANS));
    assert!(ended.is_err());
    let units: Vec<String> = planned(&lake)
        .concat()
        .into_iter()
        .map(|(unit, _)| unit)
        .collect();
    let place =
        |table: &str, name: &str| lake.join(format!("{table}/dt=2025-03-30/{name}.parquet"));
    // A date that the first attempt wrote, and the second does not: of a unit that is done, ...
    let (done, left) = (&units[0], &units[UNITS - 1]);
    let stray = [
        place("events", done),
        place("events", "20250301-0123456789abcdef"),
    ];
    // ... and of one that is not.
    let spared = [
        place("events", left),
        place("events", &format!("{left}.1")),
        place("operations", left),
        place("receipts", left),
    ];
    for file in stray.iter().chain(&spared) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "PAR1").unwrap();
    }
    let store = Store::local(&lake);
    let state = LakeState::load(&store).expect("a lake");
    state.remove_leftovers(&store).expect("removed");
    assert!(stray.iter().all(|file| !file.exists()));
    assert!(spared.iter().all(|file| file.exists()));
    // A run that does not come so far spares them too.
    let scarce = Bounds {
        max_bytes: Some(1),
        ..bounds(SEVERAL_PLANS)
    };
    site.convert(&lake, Arc::new(ThisMachine), scarce).unwrap();
    assert!(spared.iter().all(|file| file.exists()));
    site.finish(&lake, SEVERAL_PLANS);
    assert!(files(&lake) == whole);
}
