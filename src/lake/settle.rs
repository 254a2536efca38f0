//! Settles duplicates across units: of an event that stands in several parts, one copy stays.
//!
//! The copy with the smallest source object, then position, stays; no order of work changes that.
//! Before that go the rows of objects whose content was replaced by a later one.
//!
//! The parts of a unit and date that lose rows are written anew under a name made from what they lost,
//! and replaced by one settlement, so that readers who go by the receipts never see both.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use hashbrown::{DefaultHashBuilder, HashMap};
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

/// The columns that say where a record came from.
const PROVENANCE_COLUMNS: [&str; 2] = ["source", "source_position"];

/// Settles the given event dates; returns how many events were dropped as copies.
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
    for (index, losers) in losers {
        let part = events[index];
        let operations = parts
            .iter()
            .find(|other| other.table == Operations::NAME && stem(other) == stem(part));
        let mut settlement = rewrite(store, part, operations, losers)?;
        settlement.of_replaced = reason == Reason::Replaced;
        // Both parts are replaced at once: there is no moment at which one of them has.
        write_settlement(store, &settlement)?;
        for path in &settlement.replaces {
            store.delete(path)?;
        }
        dropped += settlement.dropped_events;
        state.settlements.insert(part.path.clone(), settlement);
    }
    Ok(dropped)
}

/// What the parts of one unit and date share in their names, settled or not: the unit's name.
fn stem(part: &Part) -> &str {
    let name = part.path.rsplit('/').next().unwrap_or(&part.path);
    let name = name.trim_end_matches(".parquet");
    name.split_once(".s").map_or(name, |(stem, _)| stem)
}

/// Rows that go, a bit a row, by their part's place among the parts. Parts that lose none have no
/// entry.
type Losers = BTreeMap<usize, BooleanBufferBuilder>;

fn lose(losers: &mut Losers, parts: &[&Part], part: usize, row: usize) {
    let bits = losers.entry(part).or_insert_with(|| {
        let rows = parts[part].rows as usize;
        let mut bits = BooleanBufferBuilder::new(rows);
        bits.append_n(rows, false);
        bits
    });
    bits.set_bit(row, true);
}

/// The rows whose object has another content now.
fn find_replaced(store: &Store, state: &LakeState, parts: &[&Part]) -> Result<Losers, LakeError> {
    let replaced = state.seen.replaced_in_units();
    let mut losers = Losers::new();
    for (index, part) in parts.iter().enumerate() {
        let Some(objects) = replaced.get(stem(part)) else {
            continue;
        };
        let mut row = 0;
        for batch in read_part(store, part, Some(&PROVENANCE_COLUMNS))? {
            for (source, _) in provenance_of(&batch?) {
                if objects.contains(source) {
                    lose(&mut losers, parts, index, row);
                }
                row += 1;
            }
        }
    }
    Ok(losers)
}

/// The rows that another copy beats.
///
/// Event IDs tell where copies may be; few rows share one, and only of those more is read.
fn find_losers(store: &Store, parts: &[&Part]) -> Result<Losers, LakeError> {
    let mut losers = Losers::new();
    let rows: u64 = parts.iter().map(|part| part.rows).sum();
    let passes = rows.div_ceil(IDS_A_PASS).max(1);
    let hashing = DefaultHashBuilder::default();
    for pass in 0..passes {
        let mut seen: Vec<(u64, u32, u32)> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let keys = keys_of_rows(store, part, &hashing)?.into_iter().zip(0..);
            let keys = keys.filter(|(key, _)| key % passes == pass);
            seen.extend(keys.map(|(key, row)| (key, index as u32, row)));
        }
        seen.par_sort_unstable();
        let mut repeated = vec![Vec::new(); parts.len()];
        for copies in seen.chunk_by(|a, b| a.0 == b.0).filter(|c| c.len() > 1) {
            for (_, part, row) in copies {
                repeated[*part as usize].push(*row);
            }
        }
        drop(seen);
        repeated.iter_mut().for_each(|rows| rows.sort_unstable());
        choose(store, parts, &repeated, &mut losers)?;
    }
    Ok(losers)
}

/// A hash for each row of a part, which copies of an event share: of its ID, or of where it came
/// from if it has none.
fn keys_of_rows(
    store: &Store,
    part: &Part,
    hashing: &DefaultHashBuilder,
) -> Result<Vec<u64>, LakeError> {
    let mut keys = Vec::with_capacity(part.rows as usize);
    let mut nameless = Vec::new();
    for batch in read_part(store, part, Some(&["event_id"]))? {
        for id in column(&batch?, "event_id").as_string::<i32>() {
            if id.is_none() {
                nameless.push(keys.len());
            }
            keys.push(id.map_or(0, |id| hashing.hash_one(id)));
        }
    }
    if !nameless.is_empty() {
        let mut nameless = nameless.into_iter().peekable();
        let mut row = 0;
        for batch in read_part(store, part, Some(&PROVENANCE_COLUMNS))? {
            for provenance in provenance_of(&batch?) {
                if nameless.next_if_eq(&row).is_some() {
                    keys[row] = hashing.hash_one(provenance);
                }
                row += 1;
            }
        }
    }
    Ok(keys)
}

/// A row that may be a copy of another.
struct Candidate {
    identity: u128,
    /// Among the names of all sources at hand.
    source: u32,
    position: i64,
    part: u32,
    row: u32,
}

/// Among those of these rows, by part and in order, that are copies of one event, all but the one of
/// smallest provenance lose.
fn choose(
    store: &Store,
    parts: &[&Part],
    rows: &[Vec<u32>],
    losers: &mut Losers,
) -> Result<(), LakeError> {
    let mut candidates = Vec::with_capacity(rows.iter().map(Vec::len).sum());
    let mut sources: HashMap<String, u32> = HashMap::new();
    for (part, rows) in rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        let mut wanted = rows.iter().copied().peekable();
        let mut row = 0;
        for batch in read_part(store, parts[part], Some(&IDENTITY_COLUMNS))? {
            let batch = batch?;
            for (identity, (source, position)) in identities(&batch).zip(provenance_of(&batch)) {
                if wanted.next_if_eq(&row).is_some() {
                    let number = sources.len() as u32;
                    candidates.push(Candidate {
                        identity,
                        source: *sources.entry_ref(source).or_insert(number),
                        position,
                        part: part as u32,
                        row,
                    });
                }
                row += 1;
            }
        }
    }
    let mut names: Vec<(String, u32)> = sources.into_iter().collect();
    names.par_sort_unstable();
    let mut ranks = vec![0_u32; names.len()];
    for (rank, (_, source)) in (0..).zip(&names) {
        ranks[*source as usize] = rank;
    }
    candidates.par_sort_unstable_by_key(|c| {
        (
            c.identity,
            ranks[c.source as usize],
            c.position,
            c.part,
            c.row,
        )
    });
    for copies in candidates.chunk_by(|a, b| a.identity == b.identity) {
        for copy in &copies[1..] {
            lose(losers, parts, copy.part as usize, copy.row as usize);
        }
    }
    Ok(())
}

/// Writes the parts of one unit and date anew without the rows that go.
fn rewrite(
    store: &Store,
    events: &Part,
    operations: Option<&Part>,
    mut losers: BooleanBufferBuilder,
) -> Result<Settlement, LakeError> {
    let losers = losers.finish();
    let name = settled_name(events, &losers);
    let stay = !&losers;
    let mut settlement = Settlement {
        format: FORMAT,
        replaces: vec![events.path.clone()],
        parts: Vec::new(),
        dropped_events: losers.count_set_bits() as u64,
        of_replaced: false,
    };
    settlement
        .parts
        .extend(write_rows::<Events>(store, events, &name, &stay)?);
    if let Some(part) = operations {
        let stay = operations_that_stay(store, events, &stay)?;
        if stay.count_set_bits() < stay.len() {
            settlement.replaces.push(part.path.clone());
            settlement
                .parts
                .extend(write_rows::<Operations>(store, part, &name, &stay)?);
        }
    }
    Ok(settlement)
}

/// Which rows of a part of `operations` stay: they stand in the order of their events.
fn operations_that_stay(
    store: &Store,
    events: &Part,
    stay: &BooleanBuffer,
) -> Result<BooleanBuffer, LakeError> {
    let mut of_operations = BooleanBufferBuilder::new(stay.len());
    let mut stays = stay.iter();
    for batch in read_part(store, events, Some(&["operation_count"]))? {
        let batch = batch?;
        let counts = column(&batch, "operation_count").as_primitive::<Int32Type>();
        for (count, stays) in counts.iter().zip(&mut stays) {
            of_operations.append_n(count.unwrap_or_default() as usize, stays);
        }
    }
    Ok(of_operations.finish())
}

/// Writes the rows of a part that stay under another name; nothing where none does.
fn write_rows<T: Table>(
    store: &Store,
    part: &Part,
    name: &str,
    stay: &BooleanBuffer,
) -> Result<Option<Part>, LakeError> {
    let rows = stay.count_set_bits() as u64;
    if rows == 0 {
        return Ok(None);
    }
    let folder = part.path.rfind('/').map_or("", |slash| &part.path[..slash]);
    let path = format!("{folder}/{name}.parquet");
    let format = PartFormat::of::<T>();
    let mut writer = PartWriter::create(store, &path, &format)?;
    let mut row = 0;
    for batch in read_part(store, part, None)? {
        let batch = batch?;
        let keep = BooleanArray::new(stay.slice(row, batch.num_rows()), None);
        row += batch.num_rows();
        let batch = filter_record_batch(&batch, &keep).expect("the filter is as long as the batch");
        if batch.num_rows() > 0 {
            let chunks = (0..format.columns())
                .into_par_iter()
                .map(|column| format.encode(column, &values_of::<T>(column, batch.column(column))))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|source| LakeError::Write {
                    path: store.full_path(&path),
                    source,
                })?;
            writer.append(chunks)?;
        }
    }
    let size_bytes = writer.finish()?;
    Ok(Some(Part {
        path,
        rows,
        size_bytes,
        ..part.clone()
    }))
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

/// A name that tells what was lost of which part: the same for the same, and as long however often
/// a unit is settled.
fn settled_name(events: &Part, losers: &BooleanBuffer) -> String {
    let mut hash = Sha256::new();
    hash.update(events.path.as_bytes());
    for row in losers.set_indices() {
        hash.update((row as u64).to_le_bytes());
    }
    let digest: String = hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}.s{digest}", stem(events))
}

/// What tells the events of a batch apart; those without an ID are told by where they came from, so
/// that of an object that was read twice none stands twice.
fn identities(batch: &RecordBatch) -> impl Iterator<Item = u128> {
    let text = |name| column(batch, name).as_string::<i32>();
    let texts = [
        text("recipient_account_id"),
        text("event_id"),
        text("event_source"),
        text("event_name"),
    ];
    let times = column(batch, "event_time_ms").as_primitive::<Int64Type>();
    provenance_of(batch)
        .enumerate()
        .map(move |(row, (source, position))| {
            let value = |index: usize| texts[index].is_valid(row).then(|| texts[index].value(row));
            let time = times.is_valid(row).then(|| times.value(row));
            identity([value(0), value(1), value(2), value(3)], time)
                .or_else(|| identity([None, Some(source), None, None], Some(position)))
                .expect("a row has an ID or a source")
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
