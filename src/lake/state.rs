//! What a lake holds, read from its description, plans, receipts and settlements.

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::receipt::{Part, Plan, Receipt, RecordCounts, Settlement};
use super::seen::{SeenObject, SeenObjects};
use super::{FORMAT, LakeError, Store, integrity};
use crate::event::schema::{Events, Operations, Receipts, Table};

/// Below it stands what is no table.
const OWN_FOLDER: &str = "_dynatrail/";
const DESCRIPTION: &str = "_dynatrail/lake.json";
const PLANS: &str = "_dynatrail/plans";
const RECEIPTS: &str = "_dynatrail/receipts";
const SETTLEMENTS: &str = "_dynatrail/settlements";
const QUARANTINE: &str = "_dynatrail/quarantine";

/// How the name of a packed file ends.
const PACKED: &str = ".json.zst";

/// What a lake is: written when it is made, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeDescription {
    pub format: u32,
    /// Which events it keeps: `dynamodb`, `all`, or the selectors' canonical JSON.
    pub selection: String,
}

impl LakeDescription {
    /// The description of a lake that there is.
    pub fn of(store: &Store) -> Result<Self, LakeError> {
        let described = Self::read(store)?;
        described.ok_or_else(|| LakeError::NotALake(store.place()))
    }

    /// The description of a lake, if there is one; an error if this program does not know it.
    fn read(store: &Store) -> Result<Option<Self>, LakeError> {
        match read_json::<Self>(store, DESCRIPTION)? {
            Some(Self { format, .. }) if format > FORMAT => {
                Err(LakeError::NewerFormat { found: format })
            }
            description => Ok(description),
        }
    }

    fn admits(&self, selection: &str) -> Result<(), LakeError> {
        if self.selection == selection {
            return Ok(());
        }
        Err(LakeError::OtherSelection {
            lake: self.selection.clone(),
            asked: selection.to_owned(),
        })
    }
}

/// How often a lake is read that changes meanwhile.
const MAX_READS: usize = 4;

/// A lake's state.
pub struct LakeState {
    pub description: LakeDescription,
    /// Where the plans of runs that ended early stand: to be finished, in this order, before anything
    /// new. Their units are read when their turn comes: there can be millions of objects.
    pub unfinished: Vec<String>,
    /// Receipts without their objects, by unit.
    pub receipts: BTreeMap<String, Receipt<SeenObject>>,
    /// By the part of `events` they replace.
    pub settlements: BTreeMap<String, Settlement>,
    /// The parts of `integrity` that count.
    pub integrity: Vec<Part>,
    /// The objects of the receipts.
    pub seen: SeenObjects,
}

impl LakeState {
    /// Reads the state of an existing lake; also while a run writes to it: what is read then is what
    /// it was at one moment, or has the run's plan among the unfinished ones.
    pub fn load(store: &Store) -> Result<Self, LakeError> {
        let moment = || Ok::<_, LakeError>((store.list(PLANS)?, store.list(SETTLEMENTS)?));
        let mut before = moment()?;
        for _ in 1..MAX_READS {
            let read = Self::read(store);
            let after = moment()?;
            match read {
                // A plan that ended meanwhile.
                Err(LakeError::Missing(_)) if before != after => {}
                read if before == after => return read,
                Ok(_) => {}
                failed => return failed,
            }
            before = after;
        }
        Self::read(store)
    }

    fn read(store: &Store) -> Result<Self, LakeError> {
        let Some(description) = LakeDescription::read(store)? else {
            return Err(LakeError::NotALake(store.place()));
        };
        let mut state = Self {
            description,
            unfinished: paths(store, PLANS)?,
            receipts: BTreeMap::new(),
            settlements: BTreeMap::new(),
            integrity: integrity::read(store)?,
            seen: SeenObjects::default(),
        };
        // Before the receipts: of what a settlement dropped the receipt is there that has the copy
        // which stays.
        read_all(store, SETTLEMENTS, |_, settlement: Settlement| {
            let first = settlement.replaces.first().cloned().unwrap_or_default();
            state.settlements.insert(first, settlement);
        })?;
        read_all(store, RECEIPTS, |_, receipt| state.add(receipt))?;
        Ok(state)
    }

    /// Whether there is a lake that events of this selection may go to, or room for one.
    pub fn check(store: &Store, selection: &str) -> Result<(), LakeError> {
        match LakeDescription::read(store)? {
            Some(description) => description.admits(selection),
            None => {
                // What a run leaves that was killed before it had described the lake is our own.
                let files = store.list("")?;
                match files.iter().all(|(path, _)| path.starts_with(OWN_FOLDER)) {
                    true => Ok(()),
                    false => Err(LakeError::NotEmpty(store.place())),
                }
            }
        }
    }

    /// Reads the state of a lake of this selection, if there is one.
    pub fn find(store: &Store, selection: &str) -> Result<Option<Self>, LakeError> {
        match Self::load(store) {
            Ok(state) => state.description.admits(selection).map(|()| Some(state)),
            Err(LakeError::NotALake(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a lake for writing events of this selection; makes it where there is none.
    pub fn open_or_create(store: &Store, selection: &str) -> Result<Self, LakeError> {
        match Self::load(store) {
            Ok(state) => state.description.admits(selection).map(|()| state),
            Err(LakeError::NotALake(_)) => {
                Self::check(store, selection)?;
                let description = LakeDescription {
                    format: FORMAT,
                    selection: selection.to_owned(),
                };
                let text =
                    serde_json::to_vec_pretty(&description).expect("plain data becomes JSON");
                store.put(DESCRIPTION, &text)?;
                Self::load(store)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a new receipt on.
    pub fn add_receipt(&mut self, receipt: Receipt) {
        self.add(receipt.map(SeenObject::from));
    }

    /// Takes a receipt on; its objects are remembered as seen.
    fn add(&mut self, mut receipt: Receipt<SeenObject>) {
        let objects = std::mem::take(&mut receipt.objects);
        self.seen.add(&receipt.unit, &receipt.filter, objects);
        self.receipts.insert(receipt.unit.clone(), receipt);
    }

    /// The parts that count, by path: those of receipts, less those replaced.
    pub fn parts(&self) -> Vec<Part> {
        let written = self.receipts.values().flat_map(|receipt| &receipt.parts);
        let rewritten = self.settlements.values().flat_map(|s| &s.parts);
        let replaced = self.settlements.values().flat_map(|s| &s.replaces);
        let replaced: HashSet<&String> = replaced.collect();
        let mut parts: Vec<Part> = written
            .chain(rewritten)
            .filter(|part| !replaced.contains(&part.path))
            .chain(&self.integrity)
            .cloned()
            .collect();
        parts.sort_by(|a, b| a.path.cmp(&b.path));
        parts
    }

    /// The event dates that a unit wrote.
    pub fn dates_of(&self, unit: &str) -> Vec<String> {
        let parts = self.receipts.get(unit).into_iter().flat_map(|r| &r.parts);
        let parts = parts.filter(|part| part.table == Events::NAME);
        parts.map(|part| part.dt.clone()).collect()
    }

    /// Counts over all receipts: with duplicates across units taken off what was kept, and without
    /// the records of contents that were replaced.
    pub fn counts(&self) -> RecordCounts {
        let mut counts = RecordCounts::default();
        for receipt in self.receipts.values() {
            counts.add(&receipt.counts);
        }
        for settlement in self.settlements.values() {
            counts.kept -= settlement.dropped_events;
            match settlement.of_replaced {
                true => counts.seen -= settlement.dropped_events,
                false => counts.duplicate += settlement.dropped_events,
            }
        }
        counts
    }

    /// Events dropped because they stood in several parts.
    pub fn settled_events(&self) -> u64 {
        self.settlements
            .values()
            .filter(|settlement| !settlement.of_replaced)
            .map(|settlement| settlement.dropped_events)
            .sum()
    }

    /// The objects of units that earlier runs have planned and not converted.
    pub fn objects_left(&self, store: &Store) -> Result<u64, LakeError> {
        let mut left = 0;
        for path in &self.unfinished {
            let plan: Plan = match read_packed(store, path) {
                // A run beside this one has finished it.
                Err(LakeError::Missing(_)) => continue,
                plan => plan?,
            };
            let units = plan.units.iter();
            let units = units.filter(|unit| !self.receipts.contains_key(&unit.unit));
            left += units.map(|unit| unit.objects.len() as u64).sum::<u64>();
        }
        Ok(left)
    }

    /// The names of the units that earlier runs have planned and not converted.
    fn units_left(&self, store: &Store) -> Result<HashSet<String>, LakeError> {
        let mut left = HashSet::new();
        for path in &self.unfinished {
            let plan: PlanOutline = read_packed(store, path)?;
            let units = plan.units.into_iter().map(|unit| unit.unit);
            left.extend(units.filter(|unit| !self.receipts.contains_key(unit)));
        }
        Ok(left)
    }

    /// Removes replaced parts, and parts that are of no unit that has a receipt or stands in a plan.
    ///
    /// A part of a planned unit may be right: run again, the unit writes the same names. A machine that
    /// was given it by a run which died may just be at work on it, and then store a receipt of parts
    /// that have to be there.
    pub fn remove_leftovers(&self, store: &Store) -> Result<(), LakeError> {
        store.clear_staging()?;
        let planned = self.units_left(store)?;
        let parts: HashSet<String> = self.parts().into_iter().map(|part| part.path).collect();
        for table in [Events::NAME, Operations::NAME, Receipts::NAME] {
            for (path, _) in store.list(table)? {
                let is_left = path.ends_with(".parquet") && !parts.contains(&path);
                if is_left && !planned.contains(unit_of(&path)) {
                    store.delete(&path)?;
                }
            }
        }
        Ok(())
    }
}

/// The names of a plan's units: what else there is, is passed over.
#[derive(Deserialize)]
struct PlanOutline {
    units: Vec<UnitOutline>,
}

#[derive(Deserialize)]
struct UnitOutline {
    unit: String,
}

/// The unit that a part is of, by its name: `<unit>.parquet`, or with a number or digest between.
fn unit_of(part: &str) -> &str {
    let name = part.rsplit('/').next().unwrap_or(part);
    name.split_once('.').map_or(name, |(unit, _)| unit)
}

impl super::ObjectStatus {
    /// Whether a later run need not read the object again.
    pub fn is_done(self) -> bool {
        match self {
            Self::Converted | Self::Damaged | Self::Digest | Self::NotALog => true,
            Self::Failed | Self::Gone => false,
        }
    }
}

/// Stores a plan before any of its units is worked on; the path it stands at.
pub fn write_plan(store: &Store, name: &str, plan: &Plan) -> Result<String, LakeError> {
    let path = format!("{PLANS}/{name}.json.zst");
    write_packed(store, &path, plan)?;
    Ok(path)
}

/// Reads a plan with its units.
pub fn read_plan(store: &Store, path: &str) -> Result<Plan, LakeError> {
    read_packed(store, path)
}

/// Stores a receipt: from then on its unit is done.
pub fn write_receipt(store: &Store, receipt: &Receipt) -> Result<(), LakeError> {
    write_packed(store, &receipt_path(&receipt.unit), receipt)
}

/// Reads a unit's receipt with its objects.
pub fn read_receipt(store: &Store, unit: &str) -> Result<Receipt, LakeError> {
    read_packed(store, &receipt_path(unit))
}

/// A unit's receipt, if it has one that says of every object what it has: one of an earlier run may
/// tell of objects that it could not read, and the unit is run again.
pub fn find_complete_receipt(store: &Store, unit: &str) -> Result<Option<Receipt>, LakeError> {
    let receipt = match read_receipt(store, unit) {
        Err(LakeError::Missing(_)) => return Ok(None),
        found => found?,
    };
    let is_complete = receipt.objects.iter().all(|object| object.status.is_done());
    Ok(is_complete.then_some(receipt))
}

/// The names of the units that have a receipt.
pub fn units_with_receipts(store: &Store) -> Result<HashSet<String>, LakeError> {
    let paths = store.list(RECEIPTS)?.into_iter().map(|(path, _)| path);
    let unit = |path: String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(PACKED).map(str::to_owned)
    };
    Ok(paths.filter_map(unit).collect())
}

fn receipt_path(unit: &str) -> String {
    format!("{RECEIPTS}/{unit}{PACKED}")
}

pub fn write_settlement(store: &Store, settlement: &Settlement) -> Result<(), LakeError> {
    // A character that no store writes otherwise in a key.
    let name = settlement.replaces[0].replace('/', "+");
    write_packed(store, &format!("{SETTLEMENTS}/{name}.json.zst"), settlement)
}

/// Stores a unit's quarantine; the path it stands at.
pub fn write_quarantine(store: &Store, unit: &str, lines: &[u8]) -> Result<String, LakeError> {
    let path = format!("{QUARANTINE}/{unit}.ndjson.zst");
    store.put(&path, &pack(lines))?;
    Ok(path)
}

/// The quarantine at a path, as lines of JSON.
pub fn read_quarantine(store: &Store, path: &str) -> Result<Vec<u8>, LakeError> {
    let packed = store.read(path)?.unwrap_or_default();
    unpack(path, &packed)
}

fn write_packed<T: Serialize>(store: &Store, path: &str, value: &T) -> Result<(), LakeError> {
    let text = serde_json::to_vec(value).expect("plain data becomes JSON");
    Ok(store.put(path, &pack(&text))?)
}

fn pack(text: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(text, 3).expect("compressing into memory cannot fail")
}

fn unpack(path: &str, packed: &[u8]) -> Result<Vec<u8>, LakeError> {
    let size = zstd::zstd_safe::get_frame_content_size(packed);
    let size = size.ok().flatten().unwrap_or_default();
    let mut text = Vec::with_capacity(size.min(MAX_TRUSTED_SIZE) as usize);
    zstd::stream::copy_decode(packed, &mut text).map_err(|source| LakeError::Malformed {
        path: path.to_owned(),
        source: serde_json::Error::io(source),
    })?;
    Ok(text)
}

/// What a packed file may say of its size, in bytes, for memory to be set aside for it.
const MAX_TRUSTED_SIZE: u64 = 64 << 20;

/// Files of a folder that are fetched at once.
const FILES_AT_ONCE: usize = 256;

/// Reads every packed file of a folder in the order of the names.
fn read_all<T: DeserializeOwned + Send>(
    store: &Store,
    folder: &str,
    mut take: impl FnMut(String, T),
) -> Result<(), LakeError> {
    for paths in paths(store, folder)?.chunks(FILES_AT_ONCE) {
        let packed = store.read_many(paths)?;
        // Unpacked they are large: no more at once than there are threads.
        let threads = rayon::current_num_threads();
        for (paths, packed) in paths.chunks(threads).zip(packed.chunks(threads)) {
            let read: Vec<T> = (paths, packed)
                .into_par_iter()
                .map(|(path, packed)| {
                    let missing = || LakeError::Missing(store.full_path(path));
                    let packed = packed.as_ref().ok_or_else(missing)?;
                    parse(path, &unpack(path, packed)?)
                })
                .collect::<Result<_, LakeError>>()?;
            for (path, value) in paths.iter().zip(read) {
                take(path.clone(), value);
            }
        }
    }
    Ok(())
}

/// The files of a folder, sorted.
fn paths(store: &Store, folder: &str) -> Result<Vec<String>, LakeError> {
    let files = store.list(folder)?.into_iter();
    Ok(files.map(|(path, _)| path).collect())
}

fn read_packed<T: DeserializeOwned>(store: &Store, path: &str) -> Result<T, LakeError> {
    let missing = || LakeError::Missing(store.full_path(path));
    let packed = store.read(path)?.ok_or_else(missing)?;
    parse(path, &unpack(path, &packed)?)
}

fn read_json<T: DeserializeOwned>(store: &Store, path: &str) -> Result<Option<T>, LakeError> {
    match store.read(path)? {
        Some(bytes) => parse(path, &bytes).map(Some),
        None => Ok(None),
    }
}

fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, LakeError> {
    serde_json::from_slice(bytes).map_err(|source| LakeError::Malformed {
        path: path.to_owned(),
        source,
    })
}
