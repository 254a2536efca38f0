//! The book of findings: what was known on the nights before, since when, and who was told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::Night;
use super::config::{Occasion, Wants};
use super::entry::{Change, Entry, Mark, Progress, State, sightings};
use crate::lake::{Store, StoreError};

/// Where the book stands in the lake's store.
pub const PATH: &str = "_dynatrail/nightly/findings.json.zst";

/// The version of the book's format.
const VERSION: u32 = 1;

/// Entries of a book. Of those that are not open the oldest leave first; what finds no room is not
/// written down, counted, and looked at anew the next night.
pub const MAX_ENTRIES: usize = 100_000;

/// Bytes of a book before compression: more than its entries can have.
const MAX_BOOK_BYTES: u64 = 1 << 30;

const ZSTD_LEVEL: i32 = 3;

#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{path} is no book of findings: move it away to begin a new one, which tells all findings again"
    )]
    Malformed {
        path: String,
        source: serde_json::Error,
    },
    #[error("{path} has version {found}, this program knows {VERSION}: use a newer dynatrail")]
    Newer { path: String, found: u32 },
}

/// What is known, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    version: u32,
    entries: BTreeMap<String, Entry>,
    /// Why it stands for one that cannot be read or written, and is never written.
    #[serde(skip)]
    problem: Option<String>,
}

/// The one member of a book that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// What a night says that those before did not, by level from the gravest on, report and id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub new: Vec<Change>,
    /// Those that are not known to have ended, seen on this night or not.
    pub continuing: Vec<Change>,
    pub ended: Vec<Change>,
    /// How many are older now than what is looked at, so that nobody knows whether they have ended.
    pub past: u64,
    /// New ones for which the book has no room.
    pub left_out: u64,
}

impl Book {
    fn empty() -> Self {
        Self {
            version: VERSION,
            entries: BTreeMap::new(),
            problem: None,
        }
    }

    /// A book in place of one that cannot be read, with the reason. It is never stored, and nothing but
    /// the failure of the run is told from it: who knows which findings are new?
    pub fn detached(problem: String) -> Self {
        Self {
            problem: Some(problem),
            ..Self::empty()
        }
    }

    /// Makes it a book that is never stored again: the stored one is behind it.
    pub(super) fn detach(&mut self, problem: String) {
        self.problem = Some(problem);
    }

    /// Why it could not be read or stored; then it is never stored.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Whether it has an entry of an id, open or not.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// Reads the lake's book; an empty one where there is none yet.
    pub fn load(store: &Store) -> Result<Self, BookError> {
        let Some(packed) = store.read(PATH)? else {
            return Ok(Self::empty());
        };
        let malformed = |source| BookError::Malformed {
            path: store.full_path(PATH),
            source,
        };
        let mut text = Vec::new();
        zstd::stream::read::Decoder::new(&packed[..])
            .and_then(|decoder| decoder.take(MAX_BOOK_BYTES).read_to_end(&mut text))
            .map_err(|source| malformed(serde_json::Error::io(source)))?;
        let Version { version } = serde_json::from_slice(&text).map_err(malformed)?;
        if version > VERSION {
            return Err(BookError::Newer {
                path: store.full_path(PATH),
                found: version,
            });
        }
        serde_json::from_slice(&text).map_err(malformed)
    }

    /// Writes the book as a whole. The same entries are the same bytes.
    pub fn store(&self, store: &Store) -> Result<(), StoreError> {
        if self.problem.is_some() {
            return Ok(());
        }
        let text = serde_json::to_vec(self).expect("plain data becomes JSON");
        let packed = zstd::bulk::compress(&text, ZSTD_LEVEL).expect("memory takes what is written");
        store.put(PATH, &packed)
    }

    /// Takes in what a night saw, and says what is new, what continues and what ended. The same night
    /// again changes nothing.
    ///
    /// A finding ends only where its report answered for all there is to read of its dates.
    pub fn turn(&mut self, night: &Night<'_>) -> Changes {
        let sightings = sightings(night);
        let mut seen = BTreeSet::new();
        let mut unknown = Vec::new();
        for sighting in sightings {
            if !seen.insert(sighting.id.clone()) {
                continue;
            }
            match self.entries.get_mut(&sighting.id) {
                Some(entry) => entry.see(sighting, night.label),
                None => unknown.push(sighting),
            }
        }
        for (id, entry) in &mut self.entries {
            if entry.state == State::Open && !seen.contains(id) {
                entry.miss(night);
            }
        }
        self.make_room(unknown.len());
        let mut left_out = 0;
        for sighting in unknown {
            if self.entries.len() >= MAX_ENTRIES {
                left_out += 1;
                continue;
            }
            let (id, entry) = Entry::first(sighting, night.label);
            self.entries.insert(id, entry);
        }
        Changes {
            left_out,
            ..self.changes(night.label)
        }
    }

    fn changes(&self, label: &str) -> Changes {
        let mut changes = Changes::default();
        for (id, entry) in &self.entries {
            if entry.occasion != Occasion::Findings {
                continue;
            }
            let list = match entry.state {
                State::Open if entry.first_night == label => &mut changes.new,
                State::Open => &mut changes.continuing,
                _ if entry.ended_night.as_deref() != Some(label) => continue,
                State::Ended => &mut changes.ended,
                State::Past => {
                    changes.past += 1;
                    continue;
                }
            };
            list.push(entry.change(id));
        }
        for list in [
            &mut changes.new,
            &mut changes.continuing,
            &mut changes.ended,
        ] {
            list.sort_by(|left, right| {
                let key =
                    |change: &Change| (std::cmp::Reverse(change.level), change.report.clone());
                key(left)
                    .cmp(&key(right))
                    .then_with(|| left.id.cmp(&right.id))
            });
        }
        changes
    }

    /// Drops entries that are not open until there is room for so many new ones, or none is left: those that were
    /// told before those that were not, and the oldest first.
    fn make_room(&mut self, wanted: usize) {
        let excess = (self.entries.len() + wanted).saturating_sub(MAX_ENTRIES);
        if excess == 0 {
            return;
        }
        let mut closed = Vec::new();
        for (id, entry) in &self.entries {
            if entry.state != State::Open {
                let mut marks = entry.sinks.values();
                let is_owed = marks.any(|mark| mark.progress != Progress::Sent);
                closed.push((is_owed, entry.last_night.clone(), id.clone()));
            }
        }
        closed.sort();
        for (_, _, id) in closed.into_iter().take(excess) {
            self.entries.remove(&id);
        }
    }

    /// Notes what a sink has still to be told, whatever comes of the sending.
    pub(super) fn owe(&mut self, sink: &str, wants: &Wants) {
        for entry in self.entries.values_mut() {
            if entry.state != State::Open || !wants.admit(entry.occasion, entry.level) {
                continue;
            }
            let opening = entry.opening;
            let mark = entry.sinks.entry(sink.to_owned()).or_insert(Mark {
                opening: 0,
                progress: Progress::Sent,
            });
            if mark.opening < opening {
                mark.opening = opening;
                // What may have arrived once stays known as such.
                if mark.progress == Progress::Sent {
                    mark.progress = Progress::Owed;
                }
            }
        }
    }

    /// What a sink has still to be told, by id.
    pub(super) fn pending(&self, sink: &str, wants: &Wants) -> Vec<(&str, &Entry, Progress)> {
        let mut pending = Vec::new();
        for (id, entry) in &self.entries {
            let Some(mark) = entry.sinks.get(sink) else {
                continue;
            };
            if mark.progress != Progress::Sent && wants.admit(entry.occasion, entry.level) {
                pending.push((id.as_str(), entry, mark.progress));
            }
        }
        pending
    }

    /// Notes how far a sink was told of an entry.
    pub(super) fn mark(&mut self, sink: &str, id: &str, progress: Progress) {
        let entry = self.entries.get_mut(id);
        if let Some(mark) = entry.and_then(|entry| entry.sinks.get_mut(sink)) {
            mark.progress = progress;
        }
    }
}
