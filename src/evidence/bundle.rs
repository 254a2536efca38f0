//! Writes the files of a bundle: a folder or a tar that is there as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::EvidenceError;
use super::manifest::{self, Kind, Manifest};
use super::name::Paths;
use crate::lake::hex::hex;
use crate::render::sanitize::json_text;

/// The folder that a tar unpacks to.
const TAR_FOLDER: &str = "evidence";
const FILE_MODE: u32 = 0o644;

/// Endings of compressed files, which would hide the bundle from the tools that check it.
const COMPRESSED: [&str; 6] = ["gz", "tgz", "zip", "zst", "xz", "bz2"];

/// A bundle in the making, beside where it will stand.
#[derive(Debug)]
pub struct Bundle {
    staging: PathBuf,
    out: PathBuf,
    files: Vec<manifest::File>,
    paths: Paths,
    /// Bytes that may still be written.
    room: u64,
    limit_bytes: u64,
}

/// Whether a bundle of this name is one file.
pub fn is_tar(out: &Path) -> bool {
    has_ending(out, &["tar"])
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        endings
            .iter()
            .any(|other| ending.eq_ignore_ascii_case(other))
    })
}

impl Bundle {
    /// Begins a bundle that will stand at `out`, where nothing may stand but an empty folder.
    pub fn create(out: &Path, limit_bytes: u64) -> Result<Self, EvidenceError> {
        if has_ending(out, &COMPRESSED) {
            return Err(EvidenceError::Compressed(out.to_owned()));
        }
        let is_free = match fs::read_dir(out) {
            Ok(mut entries) => !is_tar(out) && entries.next().is_none(),
            Err(_) => out.symlink_metadata().is_err(),
        };
        if !is_free {
            return Err(EvidenceError::Exists(out.to_owned()));
        }
        let mut staging = out.components().as_path().as_os_str().to_owned();
        staging.push(".unfinished");
        let staging = PathBuf::from(staging);
        if let Some(parent) = staging.parent() {
            fs::create_dir_all(parent).map_err(|source| failed(parent, source))?;
        }
        match fs::create_dir(&staging) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(EvidenceError::Unfinished(staging));
            }
            Err(source) => return Err(failed(&staging, source)),
        }
        Ok(Self {
            staging,
            out: out.to_owned(),
            files: Vec::new(),
            paths: Paths::default(),
            room: limit_bytes,
            limit_bytes,
        })
    }

    /// A free path for what comes from this URI, in one of the bundle's folders.
    pub fn path_for(&mut self, folder: &str, uri: &str) -> String {
        self.paths.take(folder, uri)
    }

    /// Writes a file; its path must be plain and its own.
    pub fn write(
        &mut self,
        path: &str,
        kind: Kind,
        write: impl FnOnce(&mut Counted) -> io::Result<()>,
    ) -> Result<&mut manifest::File, EvidenceError> {
        let mut out = self.begin(path)?;
        write(&mut out).map_err(|source| failed(&self.staging.join(path), source))?;
        self.end(path, kind, out)
    }

    /// Writes the bytes of what stands at a URI, under a path of [`Bundle::path_for`].
    pub fn copy(
        &mut self,
        path: &str,
        (kind, uri): (Kind, &str),
        bytes: &[u8],
    ) -> Result<&manifest::File, EvidenceError> {
        let file = self.write(path, kind, |out| out.write_all(bytes))?;
        file.uri = Some(uri.to_owned());
        Ok(file)
    }

    /// Begins a file that is written bit by bit; [`Bundle::end`] ends it.
    pub fn begin(&mut self, path: &str) -> Result<Counted, EvidenceError> {
        self.paths.reserve(path);
        let place = self.staging.join(path);
        let folder = place.parent().unwrap_or(&self.staging);
        fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        let file = File::create_new(&place).map_err(|source| failed(&place, source))?;
        Ok(Counted {
            out: BufWriter::new(file),
            hash: Sha256::new(),
            size_bytes: 0,
            room: self.room,
            limit_bytes: self.limit_bytes,
        })
    }

    /// Ends a file.
    pub fn end(
        &mut self,
        path: &str,
        kind: Kind,
        mut out: Counted,
    ) -> Result<&mut manifest::File, EvidenceError> {
        let flushed = out.flush();
        flushed.map_err(|source| failed(&self.staging.join(path), source))?;
        self.room = self.room.saturating_sub(out.size_bytes);
        self.files.push(manifest::File {
            path: path.to_owned(),
            kind,
            size_bytes: out.size_bytes,
            sha256: hex(&out.hash.finalize()),
            uri: None,
        });
        Ok(self.files.last_mut().expect("it was pushed just above"))
    }

    /// Files of a kind so far.
    pub fn count(&self, kind: Kind) -> u64 {
        self.files.iter().filter(|file| file.kind == kind).count() as u64
    }

    /// The files so far, by path.
    pub fn files(&self) -> Vec<manifest::File> {
        let mut files = self.files.clone();
        files.sort_by(|left, right| left.path.cmp(&right.path));
        files
    }

    /// Writes the manifest and the sums, and puts the whole where it belongs.
    pub fn finish(mut self, manifest: &Manifest) -> Result<(), EvidenceError> {
        let text = serde_json::to_string_pretty(manifest).expect("plain data becomes JSON");
        self.write("manifest.json", Kind::Bundle, |out| {
            writeln!(out, "{}", json_text(&text))
        })?;
        let mut sums = String::new();
        for file in self.files() {
            sums.push_str(&format!("{}  {}\n", file.sha256, file.path));
        }
        self.write("SHA256SUMS", Kind::Bundle, |out| {
            out.write_all(sums.as_bytes())
        })?;
        if is_tar(&self.out) {
            return self.pack();
        }
        // Over an empty folder, or where nothing stands.
        fs::rename(&self.staging, &self.out).map_err(|source| failed(&self.out, source))
    }

    /// Packs the files into a tar that tells nothing of when, where and by whom it was made.
    fn pack(&self) -> Result<(), EvidenceError> {
        let unfinished = self.staging.join("bundle.tar");
        let packed = self.pack_into(&unfinished);
        packed.map_err(|source| failed(&unfinished, source))?;
        fs::rename(&unfinished, &self.out).map_err(|source| failed(&self.out, source))
    }

    fn pack_into(&self, place: &Path) -> io::Result<()> {
        let mut tar = tar::Builder::new(BufWriter::new(File::create_new(place)?));
        for file in self.files() {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.size_bytes);
            header.set_mode(FILE_MODE);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            let content = File::open(self.staging.join(&file.path))?;
            tar.append_data(&mut header, format!("{TAR_FOLDER}/{}", file.path), content)?;
        }
        let mut out = tar.into_inner()?;
        out.flush()?;
        out.get_ref().sync_all()
    }
}

impl Drop for Bundle {
    /// Leaves nothing behind: a finished folder has been moved away by now.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.staging);
    }
}

fn failed(path: &Path, source: io::Error) -> EvidenceError {
    EvidenceError::Write {
        path: path.to_owned(),
        source,
    }
}

/// A file that is hashed as it is written, and cannot outgrow the bundle's limit.
#[derive(Debug)]
pub struct Counted {
    out: BufWriter<File>,
    hash: Sha256,
    size_bytes: u64,
    room: u64,
    limit_bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size_bytes + bytes.len() as u64 > self.room {
            let words = format!(
                "the bundle would have more than {} bytes: narrow it with --since and --until, or \
                 name fewer events with --event-id",
                self.limit_bytes
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
        }
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_ends_at_its_limit_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("temp folder");
        let out = folder.path().join("case");
        let mut bundle = Bundle::create(&out, 10).expect("a free place");
        for path in ["a", "b/c"] {
            let written = bundle.write(path, Kind::Rows, |out| out.write_all(b"12345"));
            assert_eq!(written.expect("there is room").size_bytes, 5);
        }
        let error = bundle.write("d", Kind::Rows, |out| out.write_all(b"6"));
        let EvidenceError::Write { source, .. } = error.expect_err("there is no room") else {
            panic!("another error");
        };
        assert!(
            source.to_string().contains("more than 10 bytes"),
            "{source}"
        );
        drop(bundle);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
    }
}
