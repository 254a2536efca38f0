//! Keeps what verification by digests found: the parts of `integrity`, the newest of each date.
//!
//! Which parts count says one small file, written when they are; so a reader never sees a date twice.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hex::hex;
use super::objects::write_rows;
use super::receipt::Part;
use super::{FORMAT, LakeError, Store};
use crate::event::schema::{Integrity, IntegrityRow, Table};

const INDEX: &str = "_dynatrail/integrity.json";

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    format: u32,
    parts: Vec<Part>,
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

/// Writes the rows of some dates anew, in place of those that were there; the parts that count now.
pub fn replace(
    store: &Store,
    dates: &BTreeMap<String, Vec<IntegrityRow<'_>>>,
) -> Result<Vec<Part>, LakeError> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for part in read(store)? {
        parts.insert(part.dt.clone(), part);
    }
    for (date, rows) in dates {
        let path = format!("{}/dt={date}/{}.parquet", Integrity::NAME, name(rows));
        let part = write_rows::<Integrity>(store, path, date, rows)?;
        parts.insert(date.clone(), part);
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
