//! Settles duplicates across units: of an event that stands in several parts, one copy stays.
//!
//! The copy with the smallest source object, then position, stays; no order of work changes that.
//! Before that go the rows of objects whose content was replaced by a later one.
//!
//! A part that loses rows is written anew under a name made from what it lost, and replaced by a
//! settlement, so that readers who go by the receipts never see both.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use hashbrown::DefaultHashBuilder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::chunk::Values;
use super::gather;
use super::part::{PartFormat, PartWriter};
use super::receipt::{Part, Settlement};
use super::state::{LakeState, write_settlement};
use super::{FORMAT, LakeError, Store};
use crate::event::batch::identity;
use crate::event::schema::{Cell, Events, Operations, Table};

/// Event IDs looked at in one pass; a date with more is settled in several passes.
const IDS_A_PASS: u64 = 2 << 20;

/// Rows of a batch read, and of a row group written anew.
const BATCH_ROWS: usize = 32 << 10;

/// The columns that make an event's identity and its provenance.
const IDENTITY_COLUMNS: [&str; 7] = [
    "recipient_account_id",
    "event_id",
    "event_source",
    "event_name",
    "event_time_ms",
    "source",
    "source_position",
];

/// Where a record came from: source object and position.
type Provenance = (Arc<str>, i64);

/// Settles the given event dates; returns how many events were dropped.
pub fn settle(
    store: &Store,
    state: &mut LakeState,
    dates: &BTreeSet<String>,
) -> Result<u64, LakeError> {
    let mut dropped = 0;
    for date in dates {
        settle_date(store, state, date, Reason::Replaced)?;
        dropped += settle_date(store, state, date, Reason::Copies)?;
    }
    Ok(dropped)
}

/// Why rows are dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Their object has another content now, which was read instead.
    Replaced,
    /// Another copy of the event stays.
    Copies,
}

fn settle_date(
    store: &Store,
    state: &mut LakeState,
    date: &str,
    reason: Reason,
) -> Result<u64, LakeError> {
    let mut dropped = 0;
    let parts: Vec<Part> = state
        .parts()
        .into_iter()
        .filter(|part| part.dt == *date)
        .collect();
    let events: Vec<&Part> = parts.iter().filter(|p| p.table == Events::NAME).collect();
    let losers = match reason {
        Reason::Replaced => find_replaced(store, state, &events)?,
        Reason::Copies => find_losers(store, &events)?,
    };
    for (part, losers) in events.iter().zip(&losers).filter(|(_, l)| !l.is_empty()) {
        let kept = KeptRows::of(store, part, losers)?;
        let operations = parts
            .iter()
            .find(|other| other.table == Operations::NAME && stem(other) == stem(part));
        // An earlier run may have come as far as the operations.
        let operations = operations.filter(|part| part.rows == kept.operations.len() as u64);
        let mut rewriting = Rewriting {
            store,
            state,
            losers,
            reason,
        };
        if let Some(operations) = operations {
            rewriting.rewrite::<Operations>(operations, &kept.operations)?;
        }
        dropped += rewriting.rewrite::<Events>(part, &kept.events)?;
    }
    Ok(dropped)
}

/// What the parts of one unit and date share in their names, settled or not: the unit's name.
fn stem(part: &Part) -> &str {
    let name = part.path.rsplit('/').next().unwrap_or(&part.path);
    let name = name.trim_end_matches(".parquet");
    name.split_once(".s").map_or(name, |(stem, _)| stem)
}

/// For every part, the provenance of the rows whose object has another content now.
fn find_replaced(
    store: &Store,
    state: &LakeState,
    parts: &[&Part],
) -> Result<Vec<BTreeSet<Provenance>>, LakeError> {
    let replaced = state.seen.replaced_in_units();
    let mut losers = vec![BTreeSet::new(); parts.len()];
    for (part, losers) in parts.iter().zip(&mut losers) {
        let Some(objects) = replaced.get(stem(part)) else {
            continue;
        };
        for batch in read_part(store, part, Some(&["source", "source_position"]))? {
            for (source, position) in provenance_of(&batch?) {
                if objects.contains(source) {
                    losers.insert((Arc::from(source), position));
                }
            }
        }
    }
    Ok(losers)
}

/// Rows of parts: by the part's place among the parts, the rows.
type RowsOfParts = BTreeMap<u32, BTreeSet<u32>>;

/// For every part, the provenance of the rows that another copy beats.
///
/// Event IDs tell where copies may be; few rows share one, and only of those more is read.
fn find_losers(store: &Store, parts: &[&Part]) -> Result<Vec<BTreeSet<Provenance>>, LakeError> {
    let mut losers = vec![BTreeSet::new(); parts.len()];
    let rows: u64 = parts.iter().map(|part| part.rows).sum();
    let passes = rows.div_ceil(IDS_A_PASS).max(1);
    let hashing = DefaultHashBuilder::default();
    for pass in 0..passes {
        let mut seen: Vec<(u64, u32, u32)> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let mut row = 0;
            for batch in read_part(store, part, Some(&["event_id"]))? {
                let batch = batch?;
                for id in column(&batch, "event_id").as_string::<i32>() {
                    let id = id.map(|id| hashing.hash_one(id));
                    if let Some(id) = id.filter(|id| id % passes == pass) {
                        seen.push((id, index as u32, row));
                    }
                    row += 1;
                }
            }
        }
        seen.par_sort_unstable();
        let mut repeated = RowsOfParts::new();
        let copies = seen.chunk_by(|a, b| a.0 == b.0).filter(|c| c.len() > 1);
        for (_, part, row) in copies.flatten() {
            repeated.entry(*part).or_default().insert(*row);
        }
        if !repeated.is_empty() {
            choose(store, parts, &repeated, &mut losers)?;
        }
    }
    Ok(losers)
}

/// Among those of these rows that are copies of one event, all but the one of smallest provenance
/// lose.
fn choose(
    store: &Store,
    parts: &[&Part],
    rows: &RowsOfParts,
    losers: &mut [BTreeSet<Provenance>],
) -> Result<(), LakeError> {
    let mut copies: BTreeMap<u128, Vec<(Provenance, u32)>> = BTreeMap::new();
    for (index, rows) in rows {
        let mut row = 0;
        for batch in read_part(store, parts[*index as usize], Some(&IDENTITY_COLUMNS))? {
            let batch = batch?;
            for (identity, (source, position)) in identities(&batch).zip(provenance_of(&batch)) {
                if let Some(identity) = identity.filter(|_| rows.contains(&row)) {
                    let provenance = (Arc::from(source), position);
                    copies
                        .entry(identity)
                        .or_default()
                        .push((provenance, *index));
                }
                row += 1;
            }
        }
    }
    for mut copies in copies.into_values() {
        copies.sort();
        for (provenance, part) in copies.drain(1..) {
            losers[part as usize].insert(provenance);
        }
    }
    Ok(())
}

/// Which rows of a part of `events` stay, and which of `operations`: these stand in the order of
/// their events.
struct KeptRows {
    events: Vec<bool>,
    operations: Vec<bool>,
}

impl KeptRows {
    fn of(store: &Store, part: &Part, losers: &BTreeSet<Provenance>) -> Result<Self, LakeError> {
        let mut kept = Self {
            events: Vec::new(),
            operations: Vec::new(),
        };
        let columns = ["source", "source_position", "operation_count"];
        for batch in read_part(store, part, Some(&columns))? {
            let batch = batch?;
            let counts = column(&batch, "operation_count").as_primitive::<Int32Type>();
            for (row, (source, position)) in provenance_of(&batch).enumerate() {
                let stays = !losers.contains(&(Arc::from(source), position));
                let operations = if counts.is_valid(row) {
                    counts.value(row)
                } else {
                    0
                };
                kept.events.push(stays);
                kept.operations.extend((0..operations).map(|_| stays));
            }
        }
        Ok(kept)
    }
}

/// The rewriting of the parts of one unit and date.
struct Rewriting<'a> {
    store: &'a Store,
    state: &'a mut LakeState,
    losers: &'a BTreeSet<Provenance>,
    reason: Reason,
}

impl Rewriting<'_> {
    /// Writes a part anew with the rows that stay; returns how many were dropped.
    fn rewrite<T: Table>(&mut self, part: &Part, stays: &[bool]) -> Result<u64, LakeError> {
        let path = settled_path(part, self.losers);
        let written = write_rows_that_stay::<T>(self.store, part, &path, stays)?;
        let dropped_rows = part.rows - written.rows;
        if dropped_rows == 0 {
            return Ok(0);
        }
        let settlement = Settlement {
            format: FORMAT,
            replaces: part.path.clone(),
            part: (written.rows > 0).then_some(written),
            dropped_rows,
            of_replaced: self.reason == Reason::Replaced,
        };
        write_settlement(self.store, &settlement)?;
        self.store.delete(&part.path)?;
        self.state.settlements.insert(part.path.clone(), settlement);
        Ok(dropped_rows)
    }
}

fn write_rows_that_stay<T: Table>(
    store: &Store,
    part: &Part,
    path: &str,
    stays: &[bool],
) -> Result<Part, LakeError> {
    let format = PartFormat::of::<T>();
    let mut stays = stays.iter();
    let mut writer = PartWriter::create(store, path, &format)?;
    let mut kept_rows = 0;
    for batch in read_part(store, part, None)? {
        let batch = batch?;
        let keep: BooleanArray = stays
            .by_ref()
            .take(batch.num_rows())
            .map(|s| Some(*s))
            .collect();
        let batch = filter_record_batch(&batch, &keep).expect("the filter is as long as the batch");
        if batch.num_rows() > 0 {
            let chunks = (0..format.columns())
                .into_par_iter()
                .map(|column| format.encode(column, &values_of::<T>(column, batch.column(column))))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|source| LakeError::Write {
                    path: store.full_path(path),
                    source,
                })?;
            writer.append(chunks)?;
            kept_rows += batch.num_rows() as u64;
        }
    }
    let size_bytes = match kept_rows {
        0 => 0,
        _ if kept_rows == part.rows => part.size_bytes,
        _ => writer.finish()?,
    };
    Ok(Part {
        path: path.to_owned(),
        rows: kept_rows,
        size_bytes,
        ..part.clone()
    })
}

/// The values of a column as they were read.
fn values_of<T: Table>(column: usize, array: &dyn Array) -> Values<'_> {
    let column = &T::COLUMNS[column];
    let is_unique = !column.storage.is_repeating();
    let ints = || array.as_primitive::<Int32Type>().iter();
    let longs = || array.as_primitive::<Int64Type>().iter();
    let times = || array.as_primitive::<TimestampMillisecondType>().iter();
    match column.cell {
        Cell::Text(_) | Cell::Json(_) if is_unique => {
            Values::Texts(array.as_string::<i32>().iter().collect())
        }
        Cell::Text(_) | Cell::Json(_) => {
            gather::code(column.storage, array.as_string::<i32>().iter())
        }
        Cell::Bool(_) => Values::Flags(array.as_boolean().iter().collect()),
        Cell::Int(_) => gather::code(column.storage, ints().map(|int| int.map(i64::from))),
        Cell::Long(_) if is_unique => Values::Numbers(longs().collect()),
        Cell::Long(_) => gather::code(column.storage, longs()),
        Cell::Timestamp(_) => gather::code(column.storage, times()),
    }
}

/// A name that tells what the part lost: the same for the same losers.
fn settled_path(part: &Part, losers: &BTreeSet<Provenance>) -> String {
    let mut hash = Sha256::new();
    for (source, position) in losers {
        hash.update(source.as_bytes());
        hash.update([0]);
        hash.update(position.to_le_bytes());
    }
    let digest = hash.finalize();
    let stem = part.path.trim_end_matches(".parquet");
    format!(
        "{stem}.s{:02x}{:02x}{:02x}{:02x}.parquet",
        digest[0], digest[1], digest[2], digest[3]
    )
}

fn identities(batch: &RecordBatch) -> impl Iterator<Item = Option<u128>> {
    let text = |name| column(batch, name).as_string::<i32>();
    let texts = [
        text("recipient_account_id"),
        text("event_id"),
        text("event_source"),
        text("event_name"),
    ];
    let times = column(batch, "event_time_ms").as_primitive::<Int64Type>();
    (0..batch.num_rows()).map(move |row| {
        let value = |index: usize| texts[index].is_valid(row).then(|| texts[index].value(row));
        let time = times.is_valid(row).then(|| times.value(row));
        identity([value(0), value(1), value(2), value(3)], time)
    })
}

fn provenance_of(batch: &RecordBatch) -> impl Iterator<Item = (&str, i64)> {
    let sources = column(batch, "source").as_string::<i32>();
    let positions = column(batch, "source_position").as_primitive::<Int64Type>();
    (0..batch.num_rows()).map(|row| (sources.value(row), positions.value(row)))
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> &'b dyn Array {
    batch
        .column_by_name(name)
        .expect("parts have the schema's columns")
}

/// Reads a part, all columns or the named ones, batch by batch.
pub fn read_part(
    store: &Store,
    part: &Part,
    columns: Option<&[&str]>,
) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>>, LakeError> {
    let path = part.path.clone();
    let failed = move |source| LakeError::Read {
        path: path.clone(),
        source,
    };
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(store.open(&part.path)?).map_err(&failed)?;
    let mask = match columns {
        Some(names) => ProjectionMask::columns(builder.parquet_schema(), names.iter().copied()),
        None => ProjectionMask::all(),
    };
    let reader: ParquetRecordBatchReader = builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(&failed)?;
    Ok(reader.map(move |batch| batch.map_err(|error| failed(error.into()))))
}
