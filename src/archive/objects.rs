//! The objects of a listing: in one order, each once, and in memory up to a bounded number.
//!
//! An archive may have more keys than memory has room for. What is beyond the bound is sorted and
//! written, run by run, into a temporary file without a name; whoever reads merges the runs.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;
use std::path::PathBuf;

use super::{ListingError, ObjectRef};
use runs::{RunReader, Runs};

mod runs;

/// Objects that are held in memory, at some 250 bytes each.
const OBJECTS_IN_MEMORY: usize = 250_000;

/// Runs that are merged at once, at about a megabyte of buffers each; more become one.
const MAX_RUNS: usize = 64;

/// The objects of a listing, in the order of their dates, those without one last, and of their URIs.
#[derive(Debug)]
pub struct Objects {
    /// What came since the last run was written.
    in_memory: Vec<ObjectRef>,
    most_in_memory: usize,
    runs: Option<Runs>,
    /// Where runs are written.
    folder: PathBuf,
    len: u64,
    size_bytes: u64,
    duplicates: u64,
    is_sorted: bool,
    /// Why what came could not be kept.
    failure: Option<ListingError>,
}

impl Default for Objects {
    fn default() -> Self {
        Self::bounded(OBJECTS_IN_MEMORY, std::env::temp_dir())
    }
}

impl Objects {
    /// Takes at most so many objects into memory, at least one, and keeps the others in a temporary
    /// file in a folder.
    pub fn bounded(most_in_memory: usize, folder: impl Into<PathBuf>) -> Self {
        Self {
            in_memory: Vec::new(),
            most_in_memory: most_in_memory.max(1),
            runs: None,
            folder: folder.into(),
            len: 0,
            size_bytes: 0,
            duplicates: 0,
            is_sorted: true,
            failure: None,
        }
    }

    /// Takes an object on, in any order. That it cannot be kept is told by [`Objects::finish`].
    pub fn push(&mut self, object: ObjectRef) {
        if self.failure.is_some() {
            return;
        }
        if self.in_memory.len() == self.most_in_memory
            && let Err(source) = self.spill()
        {
            self.failure = Some(self.failed(source));
            return;
        }
        self.len += 1;
        self.size_bytes = self.size_bytes.saturating_add(object.size);
        self.is_sorted = false;
        self.in_memory.push(object);
    }

    /// Whether objects came that could not be kept: nothing more is taken.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Sorts, and drops all but the first of the objects that have one URI; how many it has dropped.
    ///
    /// Fails if the temporary file cannot be written or read.
    pub fn finish(&mut self) -> Result<u64, ListingError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.sort();
        if self.runs.is_some() {
            let (mut len, mut size_bytes) = (0, 0_u64);
            for object in self.iter() {
                len += 1;
                size_bytes = size_bytes.saturating_add(object?.size);
            }
            self.duplicates += self.len - len;
            (self.len, self.size_bytes) = (len, size_bytes);
        }
        Ok(std::mem::take(&mut self.duplicates))
    }

    /// How many objects there are; before [`Objects::finish`], how many came.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The sum of the objects' stored sizes in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The objects in their order, as they are once [`Objects::finish`] was called; an error if the
    /// temporary file cannot be read, and nothing after it.
    pub fn iter(&self) -> Iter<'_> {
        debug_assert!(self.is_sorted, "finish comes first");
        let mut sources = Vec::new();
        if let Some(runs) = &self.runs {
            sources.extend(runs.readers().map(Source::Run));
        }
        // They came last.
        sources.push(Source::Memory(self.in_memory.iter()));
        Iter {
            merge: Merge::of(sources),
            objects: self,
        }
    }

    /// All objects by URI alone, in memory whatever their number.
    pub fn to_sorted_vec(&self) -> Result<Vec<ObjectRef>, ListingError> {
        let objects: Result<Vec<ObjectRef>, ListingError> = self.iter().collect();
        objects.map(by_uri)
    }

    /// All objects by URI alone, in memory whatever their number.
    pub fn into_sorted_vec(self) -> Result<Vec<ObjectRef>, ListingError> {
        match self.runs {
            None => Ok(by_uri(self.in_memory)),
            Some(_) => self.to_sorted_vec(),
        }
    }

    /// Sorts what is in memory, and takes out what is there twice.
    fn sort(&mut self) {
        // The first that came stays first: lists come in runs that are sorted, which this is good at.
        self.in_memory.sort_by(order);
        let Self {
            len,
            size_bytes,
            duplicates,
            ..
        } = self;
        self.in_memory.dedup_by(|later, earlier| {
            let is_same = later.uri == earlier.uri;
            if is_same {
                *len -= 1;
                *size_bytes = size_bytes.saturating_sub(later.size);
                *duplicates += 1;
            }
            is_same
        });
        self.is_sorted = true;
    }

    /// Writes what is in memory as a run.
    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        if let Some(runs) = &self.runs
            && runs.len() == MAX_RUNS
        {
            let mut merged = Runs::create(&self.folder)?;
            merged.write(Merge::of(runs.readers().map(Source::Run).collect()))?;
            self.runs = Some(merged);
        }
        let runs = match &mut self.runs {
            Some(runs) => runs,
            none => none.insert(Runs::create(&self.folder)?),
        };
        runs.write(self.in_memory.drain(..).map(Ok))
    }

    fn failed(&self, source: io::Error) -> ListingError {
        ListingError {
            folder: self.folder.clone(),
            source,
        }
    }
}

impl<'o> IntoIterator for &'o Objects {
    type Item = Result<ObjectRef, ListingError>;
    type IntoIter = Iter<'o>;

    fn into_iter(self) -> Iter<'o> {
        self.iter()
    }
}

fn order(left: &ObjectRef, right: &ObjectRef) -> Ordering {
    let day = |object: &ObjectRef| (object.date.is_none(), object.date);
    let by_day = day(left).cmp(&day(right));
    by_day.then_with(|| left.uri.cmp(&right.uri))
}

fn by_uri(mut objects: Vec<ObjectRef>) -> Vec<ObjectRef> {
    objects.sort_by(|left, right| left.uri.cmp(&right.uri));
    objects
}

/// The objects of a listing, one after another.
pub struct Iter<'o> {
    merge: Merge<'o>,
    objects: &'o Objects,
}

impl Iterator for Iter<'_> {
    type Item = Result<ObjectRef, ListingError>;

    fn next(&mut self) -> Option<Self::Item> {
        let object = self.merge.next()?;
        Some(object.map_err(|source| self.objects.failed(source)))
    }
}

/// Several sorted sources as one, without what an earlier source has too.
struct Merge<'o> {
    sources: Vec<Source<'o>>,
    /// The next object of each source that has one; none before the first was asked for.
    heads: Option<BinaryHeap<Head>>,
}

enum Source<'o> {
    Memory(std::slice::Iter<'o, ObjectRef>),
    Run(RunReader<'o>),
}

impl Source<'_> {
    fn next(&mut self) -> io::Result<Option<ObjectRef>> {
        match self {
            Self::Memory(objects) => Ok(objects.next().cloned()),
            Self::Run(run) => run.next(),
        }
    }
}

impl<'o> Merge<'o> {
    fn of(sources: Vec<Source<'o>>) -> Self {
        Self {
            sources,
            heads: None,
        }
    }

    fn begin(&mut self) -> io::Result<&mut BinaryHeap<Head>> {
        let mut heads = BinaryHeap::with_capacity(self.sources.len());
        for (source, objects) in self.sources.iter_mut().enumerate() {
            let next = objects.next()?;
            heads.extend(next.map(|object| Head { object, source }));
        }
        Ok(self.heads.insert(heads))
    }

    fn advance(&mut self) -> io::Result<Option<ObjectRef>> {
        if self.heads.is_none() {
            self.begin()?;
        }
        let Some(heads) = &mut self.heads else {
            return Ok(None);
        };
        let Some(object) = take_first(heads, &mut self.sources)? else {
            return Ok(None);
        };
        while heads
            .peek()
            .is_some_and(|head| head.object.uri == object.uri)
        {
            take_first(heads, &mut self.sources)?;
        }
        Ok(Some(object))
    }
}

/// The first of the heads; the one behind it takes its place.
fn take_first(
    heads: &mut BinaryHeap<Head>,
    sources: &mut [Source<'_>],
) -> io::Result<Option<ObjectRef>> {
    let Some(mut first) = heads.peek_mut() else {
        return Ok(None);
    };
    Ok(Some(match sources[first.source].next()? {
        Some(next) => std::mem::replace(&mut first.object, next),
        None => PeekMut::pop(first).object,
    }))
}

impl Iterator for Merge<'_> {
    type Item = io::Result<ObjectRef>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.heads = Some(BinaryHeap::new());
        }
        next.transpose()
    }
}

/// The greatest comes first: the order is turned round.
struct Head {
    object: ObjectRef,
    source: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_object = order(&other.object, &self.object);
        by_object.then(other.source.cmp(&self.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}
