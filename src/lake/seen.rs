//! Which objects a lake has converted: a set by name, size and ETag, made from the receipts.
//!
//! An archive has millions of objects, so an entry is small: names and contents are remembered as
//! 64-bit hashes. Two names of one hash make an object look changed, which is told; they cannot make
//! it look done, for that the contents would have to agree too.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hasher;

use serde::Deserialize;
use siphasher::sip::SipHasher24;

use super::receipt::{EventFilter, ObjectReceipt, ObjectStatus, PlannedObject};

/// What the lake knows of an object of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It has not been converted, or not all that is asked for now.
    New,
    /// It was converted, keeping all that is asked for.
    Done,
    /// Its name was converted with another size or ETag.
    Changed {
        /// How many contents it has had.
        contents: u32,
    },
}

/// What is remembered of an object of a receipt. It is made while the receipt is read, so that an
/// archive's names are never all in memory.
#[derive(Debug, Deserialize)]
#[serde(from = "Stored<'de>")]
pub struct SeenObject {
    name: u64,
    content: u64,
    replaces: u16,
    is_done: bool,
    /// Of those that could not be read and those that stand for earlier contents.
    uri: Option<String>,
}

/// The members of a stored [`ObjectReceipt`] that matter here.
#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
    size_bytes: u64,
    #[serde(borrow, default)]
    etag: Option<Cow<'a, str>>,
    #[serde(default)]
    replaces: u32,
    status: ObjectStatus,
}

impl From<Stored<'_>> for SeenObject {
    fn from(stored: Stored<'_>) -> Self {
        let is_failed = stored.status == ObjectStatus::Failed;
        Self {
            name: hash(&stored.uri),
            content: content(stored.size_bytes, stored.etag.as_deref()),
            replaces: u16::try_from(stored.replaces).unwrap_or(u16::MAX),
            is_done: stored.status.is_done(),
            uri: (is_failed || stored.replaces > 0).then(|| stored.uri.into_owned()),
        }
    }
}

impl From<ObjectReceipt> for SeenObject {
    fn from(receipt: ObjectReceipt) -> Self {
        Self::from(Stored {
            uri: receipt.object.uri.into(),
            size_bytes: receipt.object.size_bytes,
            etag: receipt.object.etag.map(Cow::from),
            replaces: receipt.object.replaces,
            status: receipt.status,
        })
    }
}

/// One conversion of an object.
#[derive(Clone, Copy)]
struct Entry {
    content: u64,
    unit: u32,
    filter: u16,
    /// How many earlier contents it stands for.
    replaces: u16,
}

/// The set.
#[derive(Default)]
pub struct SeenObjects {
    units: Vec<String>,
    filters: Vec<EventFilter>,
    /// The first conversion of each name.
    first: HashMap<u64, Entry>,
    /// The others of names that were converted several times.
    further: HashMap<u64, Vec<Entry>>,
    /// Names of which a content was replaced.
    replaced: BTreeMap<u64, String>,
    /// Names that could not be read at least once.
    failed: BTreeMap<u64, String>,
}

/// Names that could not be read and are remembered; of more, any may be forgotten until they are
/// listed again.
const MAX_FAILED: usize = 1 << 20;

impl SeenObjects {
    /// Takes the objects of a receipt on.
    pub fn add(&mut self, unit: &str, filter: &EventFilter, objects: Vec<SeenObject>) {
        let filter = self.filter(filter);
        self.first.reserve(objects.len());
        for object in objects {
            let name = object.name;
            if object.is_done {
                let entry = Entry {
                    content: object.content,
                    unit: self.units.len() as u32,
                    filter,
                    replaces: object.replaces,
                };
                if let Some(uri) = object.uri {
                    self.replaced.insert(name, uri);
                }
                if let Some(other) = self.first.insert(name, entry) {
                    self.further.entry(name).or_default().push(other);
                }
            } else if let Some(uri) = object.uri.filter(|_| self.failed.len() < MAX_FAILED) {
                self.failed.insert(name, uri);
            }
        }
        self.units.push(unit.to_owned());
    }

    /// The number of a filter; beyond what can be numbered one that covers nothing.
    fn filter(&mut self, filter: &EventFilter) -> u16 {
        let known = self.filters.iter().position(|known| known == filter);
        let number = known.unwrap_or(self.filters.len());
        if known.is_none() && number < usize::from(u16::MAX) {
            self.filters.push(filter.clone());
        }
        u16::try_from(number).unwrap_or(u16::MAX)
    }

    fn entries(&self, name: u64) -> impl Iterator<Item = &Entry> {
        let further = self.further.get(&name).into_iter().flatten();
        self.first.get(&name).into_iter().chain(further)
    }

    /// What is known of an object as it is listed now.
    pub fn judge(&self, object: &PlannedObject, filter: &EventFilter) -> Known {
        let name = hash(&object.uri);
        let Some(newest) = self.entries(name).map(|entry| entry.replaces).max() else {
            return Known::New;
        };
        let own = content(object.size_bytes, object.etag.as_deref());
        let mut current = self
            .entries(name)
            .filter(|e| e.replaces == newest)
            .peekable();
        if current.peek().is_some_and(|entry| entry.content != own) {
            return Known::Changed {
                contents: u32::from(newest) + 1,
            };
        }
        let is_covered = current.any(|entry| {
            let done = self.filters.get(usize::from(entry.filter));
            done.is_some_and(|done| done.covers(filter))
        });
        if is_covered { Known::Done } else { Known::New }
    }

    /// The objects that could not be read when they were tried, and were not read since.
    pub fn failed(&self) -> impl Iterator<Item = &str> {
        let failed = self.failed.iter();
        let failed = failed.filter(|(name, _)| !self.first.contains_key(name));
        failed.map(|(_, uri)| uri.as_str())
    }

    /// The objects whose rows of a unit no longer count, since a later content replaced them.
    pub fn replaced_in_units(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut replaced: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, uri) in &self.replaced {
            let newest = self.entries(*name).map(|entry| entry.replaces).max();
            for entry in self.entries(*name).filter(|e| Some(e.replaces) < newest) {
                let unit = self.units[entry.unit as usize].as_str();
                replaced.entry(unit).or_default().insert(uri);
            }
        }
        replaced
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn content(size_bytes: u64, etag: Option<&str>) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write_u64(size_bytes);
    hasher.write(etag.unwrap_or_default().as_bytes());
    hasher.finish()
}
