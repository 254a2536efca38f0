//! Sorted runs of objects in a temporary file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::civil::Date;
use zstd::stream::{read::Decoder, write::Encoder};

use crate::archive::{ObjectKind, ObjectRef};

/// Names beside each other have most of their text in common: the fastest level finds it.
const RUN_ZSTD_LEVEL: i32 = 1;

/// What is read of a run at once, in bytes.
const READ_BYTES: usize = 32 << 10;

/// Names for the temporary file that are tried.
const MAX_NAMES: usize = 1000;

/// Sorted runs of objects in a file that has no name: it is gone with the process.
#[derive(Debug)]
pub(super) struct Runs {
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
    pub fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: unnamed_file(folder)?,
            runs: Vec::new(),
        })
    }

    /// Writes a run behind the others.
    pub fn write(
        &mut self,
        objects: impl Iterator<Item = io::Result<ObjectRef>>,
    ) -> io::Result<()> {
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

    pub fn len(&self) -> usize {
        self.runs.len()
    }

    pub fn readers(&self) -> impl Iterator<Item = RunReader<'_>> {
        let runs = self.runs.iter();
        runs.map(|run| RunReader {
            bytes: Some(RunBytes {
                file: &self.file,
                at: run.first_byte,
                end: run.end,
            }),
            decoder: None,
            left: run.objects,
        })
    }
}

/// A new file that only this process can reach.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..MAX_NAMES {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
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
pub(super) struct RunReader<'o> {
    /// Until the first object is asked for.
    bytes: Option<RunBytes<'o>>,
    decoder: Option<BufReader<Decoder<'static, BufReader<RunBytes<'o>>>>>,
    left: u64,
}

impl RunReader<'_> {
    pub fn next(&mut self) -> io::Result<Option<ObjectRef>> {
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
