//! Keeps what verification by digests found: the parts of `integrity`, one of each date.
//!
//! Which parts count says one small file, written when they are; so a reader never sees a date twice.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hex::hex;
use super::objects::write_rows;
use super::receipt::Part;
use super::settle::read_part;
use super::{FORMAT, LakeError, Store};
use crate::event::schema::{Integrity, IntegrityRow, Table};

const INDEX: &str = "_dynatrail/integrity.json";

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    format: u32,
    parts: Vec<Part>,
}

/// A row that owns its texts, in the order of a part's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub delivered_to_ms: Option<i64>,
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub trail: Option<String>,
    pub kind: String,
    pub object: Option<String>,
    pub status: String,
    pub problem: Option<String>,
    pub delivered_from_ms: Option<i64>,
    pub files_named: i64,
    pub files_valid: i64,
}

/// The parts that count, in the order of their dates.
pub fn read(store: &Store) -> Result<Vec<Part>, LakeError> {
    let Some(bytes) = store.read(INDEX)? else {
        return Ok(Vec::new());
    };
    let index: Index = serde_json::from_slice(&bytes).map_err(|source| LakeError::Malformed {
        path: INDEX.to_owned(),
        source,
    })?;
    Ok(index.parts)
}

/// Writes the rows of some dates; of those that were there stay the ones that are not outdated,
/// since a run need not have looked at all of a date. The parts that count now.
pub fn renew(
    store: &Store,
    dates: BTreeMap<String, Vec<Row>>,
    is_outdated: &dyn Fn(&Row) -> bool,
) -> Result<Vec<Part>, LakeError> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for part in read(store)? {
        parts.insert(part.dt.clone(), part);
    }
    for (date, mut rows) in dates {
        if let Some(part) = parts.remove(&date) {
            let kept = read_rows(store, &part)?;
            rows.extend(kept.into_iter().filter(|row| !is_outdated(row)));
        }
        if rows.is_empty() {
            continue;
        }
        rows.sort();
        rows.dedup();
        let rows: Vec<IntegrityRow<'_>> = rows.iter().map(Row::borrowed).collect();
        let path = format!("{}/dt={date}/{}.parquet", Integrity::NAME, name(&rows));
        let part = write_rows::<Integrity>(store, path, &date, &rows)?;
        parts.insert(date, part);
    }
    let index = Index {
        format: FORMAT,
        parts: parts.into_values().collect(),
    };
    let text = serde_json::to_vec_pretty(&index).expect("plain data becomes JSON");
    store.put(INDEX, &text)?;
    let counting: BTreeSet<&str> = index.parts.iter().map(|part| part.path.as_str()).collect();
    for (path, _) in store.list(Integrity::NAME)? {
        if !counting.contains(path.as_str()) {
            store.delete(&path)?;
        }
    }
    Ok(index.parts)
}

/// A name that follows from the rows, so that another content never stands under it.
fn name(rows: &[IntegrityRow<'_>]) -> String {
    let mut hash = Sha256::new();
    for row in rows {
        hash.update(format!("{row:?}\n").as_bytes());
    }
    hex(&hash.finalize()[..8])
}

fn read_rows(store: &Store, part: &Part) -> Result<Vec<Row>, LakeError> {
    let mut rows = Vec::new();
    for batch in read_part(store, part, None)? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            rows.push(Row::read(&batch, row));
        }
    }
    Ok(rows)
}

impl Row {
    fn read(batch: &RecordBatch, row: usize) -> Row {
        let column = |name| {
            let column = batch.column_by_name(name);
            column.filter(|column| column.is_valid(row))
        };
        let text = |name| {
            let texts = column(name)?.as_string_opt::<i32>()?;
            Some(texts.value(row).to_owned())
        };
        let number = |name| Some(column(name)?.as_primitive_opt::<Int64Type>()?.value(row));
        Row {
            delivered_to_ms: number("delivered_to_ms"),
            account_id: text("account_id"),
            region: text("region"),
            trail: text("trail"),
            kind: text("kind").unwrap_or_default(),
            object: text("object"),
            status: text("status").unwrap_or_default(),
            problem: text("problem"),
            delivered_from_ms: number("delivered_from_ms"),
            files_named: number("files_named").unwrap_or_default(),
            files_valid: number("files_valid").unwrap_or_default(),
        }
    }

    fn borrowed(&self) -> IntegrityRow<'_> {
        IntegrityRow {
            kind: &self.kind,
            object: self.object.as_deref(),
            account_id: self.account_id.as_deref(),
            region: self.region.as_deref(),
            trail: self.trail.as_deref(),
            status: &self.status,
            problem: self.problem.as_deref(),
            delivered_from_ms: self.delivered_from_ms,
            delivered_to_ms: self.delivered_to_ms,
            files_named: self.files_named,
            files_valid: self.files_valid,
        }
    }
}
