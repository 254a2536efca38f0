//! The view `sightings`: who was seen at which table on which day, by principal, address, client and
//! access key; and its rows kept a date a file, so that questions about all of history need not
//! read all of the lake.
//!
//! A file has the rows of one event date. Its name follows from the parts of `events` and
//! `operations` of that date and from the view's text, and a part never changes under its path: so a
//! file of the expected name is right, and every other is none of the lake's state any more.

use std::collections::{BTreeMap, BTreeSet};

use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use sha2::{Digest, Sha256};

use super::hex::hex;
use super::receipt::Part;
use super::store::{Store, StoreWriter};
use super::{FORMAT, LakeError};
use crate::event::schema::{Events, Operations, Table};
use crate::event::time;

/// The view's name.
pub const NAME: &str = "sightings";

/// The order in which a date's rows stand in their file. It is whole: no two rows are alike in it.
pub const ORDER: &str = "kind NULLS LAST, recipient_account_id NULLS LAST, aws_region NULLS LAST, \
    table_name NULLS LAST, value NULLS LAST, principal NULLS LAST, is_service_made NULLS LAST";

/// The view, in SQL that means the same in every engine; `{events}` and `{operations}` stand for the
/// names of the tables.
const DEFINITION: &str = include_str!("sightings.sql");

const FOLDER: &str = "_dynatrail/sightings";

/// Bytes of a fingerprint, of which a file's name has two hexadecimal digits each.
const FINGERPRINT_BYTES: usize = 16;

/// Rows that are encoded at once, and rows of a row group.
const BATCH_ROWS: usize = 8 << 10;
const ROW_GROUP_ROWS: usize = 64 << 10;

/// The view's statement over tables of these names, as they are quoted.
pub fn definition(events: &str, operations: &str) -> String {
    DEFINITION
        .trim_end()
        .replace("{events}", events)
        .replace("{operations}", operations)
}

/// Which dates have their file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sightings {
    /// The files that hold what the view says, as parts; how many rows they have is not known.
    pub held: Vec<Part>,
    /// The paths that the files of the other dates would have, by event date, `YYYY-MM-DD`.
    pub missing: BTreeMap<String, String>,
    /// Files of dates whose parts were other ones, or of another view.
    pub stale: Vec<String>,
}

impl Sightings {
    /// Looks which dates of a lake of these parts have their file, by one listing.
    pub fn find(store: &Store, parts: &[Part]) -> Result<Self, LakeError> {
        let mut found = Self {
            missing: expected(parts),
            ..Self::default()
        };
        let dates = found.missing.iter().map(|(dt, path)| (path, dt));
        let dates: BTreeMap<String, String> =
            dates.map(|(path, dt)| (path.clone(), dt.clone())).collect();
        for (path, size_bytes) in store.list(FOLDER)? {
            match dates.get(&path) {
                Some(dt) => {
                    found.missing.remove(dt);
                    found.held.push(Part {
                        table: NAME.to_owned(),
                        dt: dt.clone(),
                        path,
                        rows: 0,
                        size_bytes,
                        min_event_time_ms: None,
                        max_event_time_ms: None,
                    });
                }
                None => found.stale.push(path),
            }
        }
        Ok(found)
    }

    /// The same with no date taken to have its file: they are written again, in their place.
    pub fn none_held(self) -> Self {
        let held = self.held.into_iter().map(|part| (part.dt, part.path));
        Self {
            held: Vec::new(),
            missing: self.missing.into_iter().chain(held).collect(),
            stale: self.stale,
        }
    }
}

/// The path of each event date's file, by date. Events without a readable time are in none.
fn expected(parts: &[Part]) -> BTreeMap<String, String> {
    let undated = time::day_text(None);
    let mut paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for part in parts {
        if [Events::NAME, Operations::NAME].contains(&part.table.as_str()) && part.dt != undated {
            paths.entry(&part.dt).or_default().insert(&part.path);
        }
    }
    let path = |(dt, paths): (&str, BTreeSet<&str>)| {
        let path = format!("{FOLDER}/dt={dt}/{}.parquet", fingerprint(&paths));
        (dt.to_owned(), path)
    };
    paths.into_iter().map(path).collect()
}

/// What a date's rows follow from, as hexadecimal digits.
fn fingerprint(paths: &BTreeSet<&str>) -> String {
    let mut hash = Sha256::new();
    let version = FORMAT.to_string();
    for text in [version.as_str(), DEFINITION].iter().chain(paths) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hex(&hash.finalize()[..FINGERPRINT_BYTES])
}

/// Writes a date's rows to its path. The bytes follow from the rows and their order, however they
/// come in batches.
pub fn write<E: From<LakeError>>(
    store: &Store,
    path: &str,
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, E>>,
) -> Result<(), E> {
    let failed = |source: ParquetError| LakeError::Write {
        path: store.full_path(path),
        source,
    };
    // A date has few rows: indexes of pages would be larger than the pages.
    let properties = WriterProperties::builder()
        .set_created_by(format!("dynatrail lake format {FORMAT}"))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let file = store.create(path).map_err(LakeError::from)?;
    let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties));
    let mut writer: ArrowWriter<StoreWriter> = writer.map_err(failed)?;
    let mut even = BatchCoalescer::new(schema, BATCH_ROWS);
    for batch in batches {
        let pushed = even.push_batch(batch?);
        pushed.map_err(|error| failed(error.into()))?;
        while let Some(batch) = even.next_completed_batch() {
            writer.write(&batch).map_err(failed)?;
        }
    }
    let finished = even.finish_buffered_batch();
    finished.map_err(|error| failed(error.into()))?;
    while let Some(batch) = even.next_completed_batch() {
        writer.write(&batch).map_err(failed)?;
    }
    let file = writer.into_inner().map_err(failed)?;
    file.finish().map_err(LakeError::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(table: &str, dt: &str, name: &str) -> Part {
        Part {
            table: table.to_owned(),
            dt: dt.to_owned(),
            path: format!("{table}/dt={dt}/{name}.parquet"),
            rows: 1,
            size_bytes: 1,
            min_event_time_ms: None,
            max_event_time_ms: None,
        }
    }

    #[test]
    fn a_file_s_name_follows_from_the_parts_of_its_date() {
        let (events, operations) = (Events::NAME, Operations::NAME);
        let parts = [
            part(events, "2025-03-01", "a"),
            part(operations, "2025-03-01", "a"),
            part(events, "2025-03-02", "a"),
            part(events, &time::day_text(None), "a"),
            part("receipts", "2025-03-03", "a"),
        ];
        let paths = expected(&parts);
        let dates: Vec<&str> = paths.keys().map(String::as_str).collect();
        assert_eq!(dates, ["2025-03-01", "2025-03-02"]);
        let mut other = parts.to_vec();
        other.reverse();
        assert_eq!(expected(&other), paths);
        other.push(part(operations, "2025-03-01", "b"));
        let changed = expected(&other);
        assert_ne!(changed["2025-03-01"], paths["2025-03-01"]);
        assert_eq!(changed["2025-03-02"], paths["2025-03-02"]);
    }

    #[test]
    fn the_files_tell_which_dates_have_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::local(folder.path());
        let parts = [
            part(Events::NAME, "2025-03-01", "a"),
            part(Events::NAME, "2025-03-02", "a"),
        ];
        let paths = expected(&parts);
        let stale = format!("{FOLDER}/dt=2025-03-01/0123.parquet");
        for path in [&paths["2025-03-01"], &stale] {
            store.put(path, b"rows").expect("written");
        }
        let found = Sightings::find(&store, &parts).expect("listed");
        let held: Vec<&str> = found.held.iter().map(|part| part.dt.as_str()).collect();
        assert_eq!(held, ["2025-03-01"]);
        assert_eq!(found.missing.keys().collect::<Vec<_>>(), ["2025-03-02"]);
        assert_eq!(found.stale, [stale]);
        assert_eq!(found.none_held().missing, paths);
    }
}
