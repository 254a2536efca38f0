//! Writes a unit's rows into one part per table and event date, each event once.
//!
//! Rows come in the unit's own order, whatever the number of threads that made them, and what is
//! written when depends on that order alone: so do the bytes.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use parquet::errors::ParquetError;
use rayon::prelude::*;

use super::LakeError;
use super::chunk::Chunk;
use super::gather::{Gathering, Place};
use super::part::{PartFormat, PartWriter};
use super::receipt::Part;
use super::store::Store;
use crate::event::batch::{Rows, RowsBuilder};
use crate::event::schema::{Events, Of, Operations, Table};
use crate::event::time;

/// Rows that wait for their row group hold at most this, in bytes.
pub const PENDING_BYTES: usize = 8 << 20;

/// Event dates whose parts are open at once; a further one closes the part used longest ago.
pub const MAX_OPEN_DATES: usize = 16;

/// Event identities remembered at once, twice: what is further apart is settled afterwards. As many as
/// fill a hash table of a megabyte; one more would take two.
const REMEMBERED_IDENTITIES: usize = 7 << 13;

/// Writes the parts of one unit.
pub struct UnitWriter<'s> {
    store: &'s Store,
    unit: String,
    events_format: PartFormat,
    operations_format: PartFormat,
    identities: RecentIdentities,
    batches: Vec<Rows>,
    pending_bytes: usize,
    dates: BTreeMap<Option<i32>, DateWriter>,
    parts_of_date: BTreeMap<Option<i32>, u32>,
    turn: u64,
    parts: Vec<Part>,
}

/// The parts of one event date.
#[derive(Default)]
struct DateWriter {
    events: Option<PartWriter>,
    operations: Option<PartWriter>,
    /// Rows that wait for their row group.
    pending: Vec<Place>,
    min_time: Option<i64>,
    max_time: Option<i64>,
    last_used: u64,
}

impl<'s> UnitWriter<'s> {
    pub fn new(store: &'s Store, unit: &str) -> Self {
        Self {
            store,
            unit: unit.to_owned(),
            events_format: PartFormat::of::<Events>(),
            operations_format: PartFormat::of::<Operations>(),
            identities: RecentIdentities::default(),
            batches: Vec::new(),
            pending_bytes: 0,
            dates: BTreeMap::new(),
            parts_of_date: BTreeMap::new(),
            turn: 0,
            parts: Vec::new(),
        }
    }

    /// Takes rows on; says of each whether it was new (and is kept) or a duplicate.
    pub fn push(&mut self, rows: Rows) -> Result<Vec<bool>, LakeError> {
        if rows.keys.is_empty() {
            return Ok(Vec::new());
        }
        let kept = rows.keys.iter().map(|key| match key.identity {
            Some(identity) => self.identities.insert(identity),
            None => true,
        });
        let kept: Vec<bool> = kept.collect();
        let days = rows
            .keys
            .iter()
            .map(|key| key.event_time_ms.map(time::day_of));
        let days: Vec<Option<i32>> = days.collect();
        let batch = self.batches.len() as u32;
        self.pending_bytes += rows.size_bytes();
        self.batches.push(rows);
        self.turn += 1;
        let mut end = 0;
        for run in days.chunk_by(|day, next| day == next) {
            let rows = end..end + run.len();
            end = rows.end;
            let new = rows.filter(|row| kept[*row]).map(|row| (batch, row as u32));
            self.date(run[0])?.pending.extend(new);
        }
        if self.pending_bytes > PENDING_BYTES {
            self.flush()?;
        }
        Ok(kept)
    }

    /// The writer of an event date; closes another date's parts if too many are open.
    fn date(&mut self, day: Option<i32>) -> Result<&mut DateWriter, LakeError> {
        if !self.dates.contains_key(&day) && self.dates.len() >= MAX_OPEN_DATES {
            let oldest = self
                .dates
                .iter()
                .min_by_key(|(day, date)| (date.last_used, **day))
                .map(|(day, _)| *day)
                .expect("dates are open");
            self.write_date(oldest)?;
            self.close_date(oldest)?;
        }
        let date = self.dates.entry(day).or_default();
        date.last_used = self.turn;
        Ok(date)
    }

    /// Writes what waits: dates with enough rows as row groups; few rows are copied together, so
    /// that they do not hold on to the memory of large batches.
    fn flush(&mut self) -> Result<(), LakeError> {
        let waiting: usize = self.dates.values().map(|date| date.pending.len()).sum();
        let days: Vec<Option<i32>> = self.dates.keys().copied().collect();
        let mut compacted = Vec::new();
        for day in days {
            let rows = self.dates[&day].pending.len();
            if rows * 8 >= waiting {
                self.write_date(day)?;
            } else if rows > 0 {
                compacted.push((day, self.compact(day)));
            }
        }
        self.batches.clear();
        self.pending_bytes = 0;
        for (day, rows) in compacted {
            let batch = self.batches.len() as u32;
            self.pending_bytes += rows.size_bytes();
            if let Some(date) = self.dates.get_mut(&day) {
                date.pending = (0..rows.keys.len() as u32)
                    .map(|row| (batch, row))
                    .collect();
            }
            self.batches.push(rows);
        }
        Ok(())
    }

    /// Writes the waiting rows of a date as a row group of each table.
    fn write_date(&mut self, day: Option<i32>) -> Result<(), LakeError> {
        let sequence = *self.parts_of_date.entry(day).or_default();
        let Some(date) = self.dates.get_mut(&day) else {
            return Ok(());
        };
        let pending = std::mem::take(&mut date.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let (events_format, operations_format) = (&self.events_format, &self.operations_format);
        let batches = &self.batches;
        let time = |(batch, row): Place| batches[batch as usize].keys[row as usize].event_time_ms;
        let mut ordered: Vec<(Option<i64>, Place)> = pending
            .into_iter()
            .map(|place| (time(place), place))
            .collect();
        ordered.sort_unstable();
        let times = ordered.iter().filter_map(|(time, _)| *time);
        date.min_time = times.clone().chain(date.min_time).min();
        date.max_time = times.chain(date.max_time).max();
        let pending = ordered.into_iter().map(|(_, place)| place).collect();

        let gathering = Gathering::of(batches, pending);
        let (store, unit) = (self.store, &self.unit);
        let create = |table: &str, format| {
            PartWriter::create(store, &part_path(table, day, unit, sequence), format)
        };
        let (events, operations) =
            encode(&gathering, events_format, operations_format).map_err(|source| {
                LakeError::Write {
                    path: store.full_path(&part_path(Events::NAME, day, unit, sequence)),
                    source,
                }
            })?;
        let part = match &mut date.events {
            Some(part) => part,
            None => date.events.insert(create(Events::NAME, events_format)?),
        };
        part.append(events)?;
        if gathering.operations() > 0 {
            let part = match &mut date.operations {
                Some(part) => part,
                None => date
                    .operations
                    .insert(create(Operations::NAME, operations_format)?),
            };
            part.append(operations)?;
        }
        Ok(())
    }

    /// Copies a date's waiting rows out of their batches.
    fn compact(&self, day: Option<i32>) -> Rows {
        let mut rows = RowsBuilder::default();
        for (batch, row) in &self.dates[&day].pending {
            rows.copy(&self.batches[*batch as usize], *row as usize);
        }
        rows.finish()
    }

    fn close_date(&mut self, day: Option<i32>) -> Result<(), LakeError> {
        let Some(date) = self.dates.remove(&day) else {
            return Ok(());
        };
        *self.parts_of_date.entry(day).or_default() += 1;
        for (writer, table) in [
            (date.events, Events::NAME),
            (date.operations, Operations::NAME),
        ] {
            let Some(writer) = writer else { continue };
            let (path, rows) = (writer.path().to_owned(), writer.rows);
            self.parts.push(Part {
                table: table.to_owned(),
                dt: time::day_text(day),
                path,
                rows,
                size_bytes: writer.finish()?,
                min_event_time_ms: date.min_time,
                max_event_time_ms: date.max_time,
            });
        }
        Ok(())
    }

    /// Writes what still waits and makes all parts appear.
    pub fn finish(mut self) -> Result<Vec<Part>, LakeError> {
        let days: Vec<Option<i32>> = self.dates.keys().copied().collect();
        for day in days {
            self.write_date(day)?;
            self.close_date(day)?;
        }
        self.parts.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self.parts)
    }
}

/// `events/dt=2025-01-02/<unit>.parquet`; a date reopened within a unit gets a further part.
fn part_path(table: &str, day: Option<i32>, unit: &str, sequence: u32) -> String {
    let dt = time::day_text(day);
    match sequence {
        0 => format!("{table}/dt={dt}/{unit}.parquet"),
        _ => format!("{table}/dt={dt}/{unit}.{sequence}.parquet"),
    }
}

/// Encodes the columns of both tables, on all cores.
fn encode(
    gathering: &Gathering<'_>,
    events: &PartFormat,
    operations: &PartFormat,
) -> Result<(Vec<Chunk>, Vec<Chunk>), ParquetError> {
    let has_operations = gathering.operations() > 0;
    let of_events = Events::COLUMNS.par_iter().enumerate().map(|(column, _)| {
        let (values, repeated) = gathering.event_values(column);
        let repeated = repeated.filter(|_| has_operations);
        let repeated = repeated.map(|(place, values)| {
            Ok::<_, ParquetError>((place, operations.encode(place, &values)?))
        });
        Ok((events.encode(column, &values)?, repeated.transpose()?))
    });
    let own = Operations::COLUMNS.par_iter().enumerate();
    let own = own.filter(|(_, column)| has_operations && column.of == Of::Row);
    let own = own.map(|(column, _)| {
        let values = gathering.operation_values(column);
        Ok((column, operations.encode(column, &values)?))
    });
    let (of_events, own) = rayon::join(
        || of_events.collect::<Result<Vec<_>, ParquetError>>(),
        || own.collect::<Result<Vec<_>, ParquetError>>(),
    );
    let (of_events, repeated): (Vec<_>, Vec<_>) = of_events?.into_iter().unzip();
    let mut of_operations = own?;
    of_operations.extend(repeated.into_iter().flatten());
    of_operations.sort_by_key(|(column, _)| *column);
    let of_operations = of_operations.into_iter().map(|(_, chunk)| chunk);
    Ok((of_events, of_operations.collect()))
}

/// The identities of the events last kept: bounded, and the same for the same order of events.
struct RecentIdentities {
    newer: IdentitySet,
    older: IdentitySet,
}

type IdentitySet = HashSet<u128, BuildHasherDefault<IdentityHasher>>;

impl Default for RecentIdentities {
    fn default() -> Self {
        // Room from the beginning: a set that grows moves all it holds, and for a while holds it
        // twice.
        let set =
            || IdentitySet::with_capacity_and_hasher(REMEMBERED_IDENTITIES, Default::default());
        Self {
            newer: set(),
            older: set(),
        }
    }
}

impl RecentIdentities {
    /// Whether the identity is new; remembers it.
    fn insert(&mut self, identity: u128) -> bool {
        if self.older.contains(&identity) {
            return false;
        }
        if self.newer.len() == REMEMBERED_IDENTITIES {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
        }
        self.newer.insert(identity)
    }
}

/// Identities are hashes already.
#[derive(Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, identity: u128) {
        self.0 = identity as u64;
    }
}
