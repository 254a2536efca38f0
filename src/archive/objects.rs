//! The objects of a listing: in one order, each once, and in memory up to a bounded number.
//!
//! An archive may have more keys than memory has room for. What is beyond the bound is sorted and
//! written, run by run, into a temporary file without a name; whoever reads merges the runs.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering as Relaxation};

use jiff::civil::Date;
use zstd::stream::{read::Decoder, write::Encoder};

use super::{ListingError, ObjectKind, ObjectRef};

/// Objects that are held in memory, at some 250 bytes each.
const OBJECTS_IN_MEMORY: usize = 250_000;

/// Runs that are merged at once, at about a megabyte of buffers each; more become one.
const MAX_RUNS: usize = 64;

/// Names beside each other have most of their text in common: the fastest level finds it.
const RUN_ZSTD_LEVEL: i32 = 1;

/// What is read of a run at once, in bytes.
const READ_BYTES: usize = 32 << 10;

/// Names for the temporary file that are tried.
const MAX_NAMES: usize = 1000;

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
            sources.extend(runs.readers());
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
            && runs.runs.len() == MAX_RUNS
        {
            let mut merged = Runs::create(&self.folder)?;
            merged.write(Merge::of(runs.readers().collect()))?;
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

/// Sorted runs of objects in a file that has no name: it is gone with the process.
#[derive(Debug)]
struct Runs {
    file: File,
    runs: Vec<Run>,
}

/// Where a run stands in the file.
#[derive(Debug)]
struct Run {
    first_byte: u64,
    end: u64,
    objects: u64,
}

impl Runs {
    fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: unnamed_file(folder)?,
            runs: Vec::new(),
        })
    }

    fn write(&mut self, objects: impl Iterator<Item = io::Result<ObjectRef>>) -> io::Result<()> {
        let first_byte = self.file.stream_position()?;
        let mut out = BufWriter::new(Encoder::new(&self.file, RUN_ZSTD_LEVEL)?);
        let mut count = 0;
        for object in objects {
            write_object(&mut out, &object?)?;
            count += 1;
        }
        let encoder = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        encoder.finish()?;
        self.runs.push(Run {
            first_byte,
            end: self.file.stream_position()?,
            objects: count,
        });
        Ok(())
    }

    fn readers(&self) -> impl Iterator<Item = Source<'_>> {
        let runs = self.runs.iter();
        runs.map(|run| {
            Source::Run(RunReader {
                bytes: Some(RunBytes {
                    file: &self.file,
                    at: run.first_byte,
                    end: run.end,
                }),
                decoder: None,
                left: run.objects,
            })
        })
    }
}

/// A new file that only this process can reach.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..MAX_NAMES {
        let number = NUMBER.fetch_add(1, Relaxation::Relaxed);
        let name = format!(".dynatrail-listing-{}-{number}", std::process::id());
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            // Of a process with the same number, on another machine or in another container.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => {
                let file = opened?;
                fs::remove_file(&path)?;
                return Ok(file);
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Reads a run from its begin.
struct RunReader<'o> {
    /// Until the first object is asked for.
    bytes: Option<RunBytes<'o>>,
    decoder: Option<BufReader<Decoder<'static, BufReader<RunBytes<'o>>>>>,
    left: u64,
}

impl RunReader<'_> {
    fn next(&mut self) -> io::Result<Option<ObjectRef>> {
        if self.left == 0 {
            self.decoder = None;
            return Ok(None);
        }
        if let Some(bytes) = self.bytes.take() {
            let bytes = BufReader::with_capacity(READ_BYTES, bytes);
            let decoder = Decoder::with_buffer(bytes)?;
            self.decoder = Some(BufReader::with_capacity(READ_BYTES, decoder));
        }
        let Some(decoder) = &mut self.decoder else {
            return Ok(None);
        };
        self.left -= 1;
        read_object(decoder).map(Some)
    }
}

/// The bytes of a run. Other readers of the file do not disturb it.
struct RunBytes<'o> {
    file: &'o File,
    at: u64,
    end: u64,
}

impl Read for RunBytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// What stands before an object's texts: their lengths, its size, its date and its kind.
const HEAD_BYTES: usize = 4 + 4 + 8 + 4 + 1;

/// The length that says that there is no ETag.
const NO_ETAG: u32 = u32::MAX;

fn write_object(out: &mut impl Write, object: &ObjectRef) -> io::Result<()> {
    let length = |text: &str| u32::try_from(text.len()).map_err(io::Error::other);
    let etag = object.etag.as_deref();
    out.write_all(&length(&object.uri)?.to_le_bytes())?;
    out.write_all(&etag.map_or(Ok(NO_ETAG), length)?.to_le_bytes())?;
    out.write_all(&object.size.to_le_bytes())?;
    // There is no month 0.
    let date = object.date.map_or([0; 4], |date| {
        let [low, high] = date.year().to_le_bytes();
        [low, high, date.month() as u8, date.day() as u8]
    });
    out.write_all(&date)?;
    out.write_all(&[object.kind as u8])?;
    out.write_all(object.uri.as_bytes())?;
    out.write_all(etag.unwrap_or_default().as_bytes())
}

fn read_object(from: &mut impl Read) -> io::Result<ObjectRef> {
    let mut head = [0; HEAD_BYTES];
    from.read_exact(&mut head)?;
    let [
        u0,
        u1,
        u2,
        u3,
        e0,
        e1,
        e2,
        e3,
        s @ ..,
        y0,
        y1,
        month,
        day,
        kind,
    ] = head;
    let uri_bytes = u32::from_le_bytes([u0, u1, u2, u3]);
    let etag_bytes = u32::from_le_bytes([e0, e1, e2, e3]);
    let date = match month {
        0 => None,
        _ => {
            let year = i16::from_le_bytes([y0, y1]);
            Some(Date::new(year, month as i8, day as i8).map_err(io::Error::other)?)
        }
    };
    let kind = ObjectKind::ALL.get(usize::from(kind));
    Ok(ObjectRef {
        uri: read_text(from, uri_bytes)?,
        size: u64::from_le_bytes(s),
        etag: match etag_bytes {
            NO_ETAG => None,
            bytes => Some(read_text(from, bytes)?),
        },
        kind: *kind.ok_or(io::ErrorKind::InvalidData)?,
        date,
    })
}

fn read_text(from: &mut impl Read, bytes: u32) -> io::Result<Box<str>> {
    let mut text = vec![0; bytes as usize];
    from.read_exact(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    Ok(text.into_boxed_str())
}
