//! Fetches the objects that rows come from, byte for byte, and takes their records out.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::bundle::{Bundle, Counted};
use super::manifest::{Kind, Object, Problem};
use super::rebuilt::Rebuilder;
use super::record::{Found, Inflated, Reader};
use super::{Events, EvidenceError, Sources, rows};
use crate::archive::{Archive, FetchError};
use crate::convert::unit::error_chain;
use crate::lake::PlannedObject;
use crate::lake::hex::hex;
use crate::lake::state::read_receipt;

const RECORDS: &str = "records.ndjson";

/// An object as a receipt has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    pub object: PlannedObject,
    /// Of the inflated bytes, in hexadecimal digits; where the run hashed them.
    pub sha256: Option<String>,
}

/// What the receipts say of each object that was read: one entry, unless it changed between runs.
pub type Known = BTreeMap<String, Vec<Converted>>;

/// Looks the objects up in the receipts.
pub fn known(sources: &Sources<'_>, events: &Events) -> Result<Known, EvidenceError> {
    let wanted: Vec<String> = events.keys().cloned().collect();
    let mut known = Known::new();
    for unit in rows::units_of(sources.session, &wanted)? {
        for object in read_receipt(sources.store, &unit)?.objects {
            if !events.contains_key(&object.object.uri) || !object.status.is_done() {
                continue;
            }
            let entries = known.entry(object.object.uri.clone()).or_default();
            let entry = Converted {
                object: object.object,
                sha256: object.sha256,
            };
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
    }
    Ok(known)
}

/// What the objects have together, in bytes.
pub fn size_bytes(known: &Known) -> u64 {
    let first = known.values().filter_map(|entries| entries.first());
    first.map(|entry| entry.object.size_bytes).sum()
}

/// Fetches objects one after another.
pub struct Gatherer<'g> {
    archive: &'g Archive,
    runtime: &'g Handle,
    rebuilder: &'g mut Rebuilder,
    reader: Reader,
}

impl<'g> Gatherer<'g> {
    /// The rebuilder takes every record that is found.
    pub fn new(archive: &'g Archive, runtime: &'g Handle, rebuilder: &'g mut Rebuilder) -> Self {
        Self {
            archive,
            runtime,
            rebuilder,
            reader: Reader::default(),
        }
    }

    /// Writes the objects below `objects/`, and the wanted records of all into one file.
    pub fn gather(
        &mut self,
        bundle: &mut Bundle,
        events: &Events,
        known: &Known,
        problems: &mut Vec<Problem>,
    ) -> Result<BTreeMap<String, Object>, EvidenceError> {
        let mut objects = BTreeMap::new();
        let mut records = bundle.begin(RECORDS)?;
        for (uri, wanted) in events {
            let mut object = Object {
                uri: uri.clone(),
                ..Object::default()
            };
            let entries = known.get(uri).map_or(&[][..], Vec::as_slice);
            match self.fetch(uri, entries) {
                Ok((bytes, entry)) => {
                    object.etag.clone_from(&entry.etag);
                    let path = bundle.path_for("objects", uri);
                    let file = bundle.copy(&path, (Kind::Object, uri), &bytes)?;
                    object.sha256 = Some(file.sha256.clone());
                    object.size_bytes = Some(file.size_bytes);
                    object.path = Some(path);
                    self.records(&mut object, &bytes, wanted, (&mut records, problems))?;
                    check_hash(&object, entry, entries, problems);
                }
                Err(problem) => problems.push(Problem::new(uri, problem)),
            }
            objects.insert(uri.clone(), object);
        }
        bundle.end(RECORDS, Kind::Records, records)?;
        Ok(objects)
    }

    /// The bytes of an object as it was when it was converted.
    fn fetch<'k>(
        &self,
        uri: &str,
        known: &'k [Converted],
    ) -> Result<(Bytes, &'k PlannedObject), String> {
        let mut problem = "no receipt of the lake names the object".to_owned();
        for Converted { object: entry, .. } in known {
            let etag = entry.etag.as_deref();
            let fetched = self.archive.fetch(uri, entry.size_bytes, etag);
            match self.runtime.block_on(fetched) {
                Ok(bytes) => return Ok((bytes, entry)),
                Err(FetchError::Gone { .. }) => {
                    problem = "the object is no longer there".to_owned()
                }
                Err(FetchError::Changed { .. }) => {
                    problem = "the object is no longer the one that was converted".to_owned();
                }
                Err(error) => problem = error_chain(&error),
            }
        }
        Err(problem)
    }

    /// Writes the wanted records of an object, and tells its hashes.
    fn records(
        &mut self,
        object: &mut Object,
        bytes: &[u8],
        wanted: &[(u64, String)],
        (out, problems): (&mut Counted, &mut Vec<Problem>),
    ) -> Result<(), EvidenceError> {
        let mut missing: BTreeMap<u64, String> = wanted.iter().cloned().collect();
        let mut count = 0;
        let keep = self.rebuilder.keep().clone();
        let inflated = self.reader.read(bytes, &keep, &mut |found| {
            let id = missing.get(&found.position).map(String::as_str);
            let Some(id) = id.filter(|id| found.event_id == Some(*id)) else {
                return Ok(());
            };
            let place = (found.position, id);
            self.rebuilder.take(&object.uri, place, found.text);
            missing.remove(&found.position);
            count += 1;
            write_record(out, object, found)
        });
        let inflated = inflated.map_err(|source| EvidenceError::Write {
            path: RECORDS.into(),
            source,
        })?;
        for (position, id) in missing {
            problems.push(Problem::new(
                &object.uri,
                format!("record {position} is not the event {id}: the object is not the one that was converted"),
            ));
        }
        object.records = count;
        tell(object, inflated, problems);
        Ok(())
    }
}

/// Holds an object against the hashes that receipts have of it.
///
/// Of the entries it may be any that was listed as it was: without an ETag, as files have none, an object
/// that was replaced may be as long as the one before.
fn check_hash(
    object: &Object,
    fetched: &PlannedObject,
    entries: &[Converted],
    problems: &mut Vec<Problem>,
) {
    let alike = entries.iter().filter(|entry| {
        entry.object.size_bytes == fetched.size_bytes && entry.object.etag == fetched.etag
    });
    let hashes: Vec<&str> = alike.filter_map(|entry| entry.sha256.as_deref()).collect();
    let own = object.inflated_sha256.as_deref().unwrap_or_default();
    if !hashes.is_empty() && !hashes.contains(&own) {
        problems.push(Problem::new(
            &object.uri,
            "the object has been altered since it was converted: its receipt has another hash of it",
        ));
    }
}

fn tell(object: &mut Object, inflated: Inflated, problems: &mut Vec<Problem>) {
    object.encoding = Some(inflated.encoding);
    object.inflated_bytes = Some(inflated.bytes);
    object.inflated_sha256 = Some(inflated.sha256);
    if let Some(damage) = inflated.damage {
        problems.push(Problem::new(&object.uri, damage));
    }
}

/// Writes a record on one line, with where it stands beside it.
///
/// Between its values a record may have line ends; in the line they are spaces. Its hash, offset and
/// length are those of the bytes as they stand.
fn write_record(out: &mut Counted, object: &Object, found: &Found<'_>) -> io::Result<()> {
    let has_line_ends = found.text.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    let beside = serde_json::json!({
        "event_id": found.event_id,
        "object": object.uri,
        "path": object.path,
        "position": found.position,
        "offset_bytes": found.offset,
        "length_bytes": found.length,
        "is_enclosed": found.is_enclosed,
        "line_ends_replaced": has_line_ends,
        "sha256": hex(&Sha256::digest(found.text)),
    });
    let beside = beside.to_string();
    let open = beside.strip_suffix('}').expect("an object ends so");
    write!(out, "{open},\"record\":")?;
    match has_line_ends {
        false => out.write_all(found.text)?,
        true => {
            let text = found.text.iter().map(|byte| match byte {
                b'\n' | b'\r' => b' ',
                other => *other,
            });
            out.write_all(&text.collect::<Vec<u8>>())?;
        }
    }
    out.write_all(b"}\n")
}
