//! Lists and reads archives that are folders, files or patterns of file names.

use std::collections::HashSet;
use std::fs::{self, File, FileType};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use siphasher::sip128::SipHasher13;
use walkdir::{DirEntry, WalkDir};

use super::selection::{FolderVerdict, OutOfSelection, Selection};
use super::{
    FetchError, ListError, Listing, MAX_OBJECT_BYTES, ObjectKind, ObjectRef, SourceError,
    check_size,
};

/// How many files are listed between two words of progress.
const PROGRESS_STEP: u64 = 1024;

/// A folder, a file, or a pattern with the folder where it begins.
#[derive(Clone, Debug)]
pub struct LocalPath {
    root: PathBuf,
    pattern: Option<GlobMatcher>,
}

impl LocalPath {
    /// Takes the text as it is if such a file exists, else as a pattern if it has one of `*?[{`.
    ///
    /// `*` stays within one name, `**` spans folders; a folder that matches is taken whole.
    pub fn parse(text: &str) -> Result<LocalPath, SourceError> {
        let text = &tidy(text);
        let has_pattern = |part: &str| part.contains(['*', '?', '[', '{']);
        if !has_pattern(text) || Path::new(text).symlink_metadata().is_ok() {
            return Ok(LocalPath {
                root: text.into(),
                pattern: None,
            });
        }
        let glob = GlobBuilder::new(text.trim_end_matches('/'))
            .literal_separator(true)
            .build()
            .map_err(|source| SourceError::Pattern {
                text: text.to_owned(),
                source,
            })?;
        let mut root_length = 0;
        for part in text.split_inclusive('/') {
            if has_pattern(part) {
                break;
            }
            root_length += part.len();
        }
        Ok(LocalPath {
            root: text[..root_length].into(),
            pattern: Some(glob.compile_matcher()),
        })
    }

    fn matches(&self, path: &Path) -> bool {
        match &self.pattern {
            None => true,
            Some(pattern) => path.ancestors().any(|part| pattern.is_match(part)),
        }
    }
}

/// One spelling for `a`, `./a`, `a/` and `a//.`, since objects are told by their names; nothing for
/// this folder.
fn tidy(text: &str) -> String {
    let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
    let tidy = parts.collect::<Vec<_>>().join("/");
    match text.starts_with('/') {
        true => format!("/{tidy}"),
        false => tidy,
    }
}

/// The files that earlier sources listed, each by a hash of its path without symlinks.
#[derive(Debug, Default)]
pub(super) struct Seen {
    files: HashSet<u128>,
}

/// One walk: where it stands and what it met.
struct Walk<'a> {
    selection: &'a Selection,
    seen: &'a mut Seen,
    listing: &'a mut Listing,
    /// The folders of this source, so that symlinks can neither loop nor multiply.
    folders: HashSet<PathBuf>,
    /// The folder of the last file, as walked and without symlinks: files come folder by folder.
    last_folder: Option<(PathBuf, PathBuf)>,
}

/// Lists one source into `listing`, names in order; what cannot be read is named there.
pub(super) fn list(
    source: &LocalPath,
    selection: &Selection,
    seen: &mut Seen,
    listing: &mut Listing,
    progress: &(dyn Fn(u64) + Sync),
) {
    let mut walk = Walk {
        selection,
        seen,
        listing,
        folders: HashSet::new(),
        last_folder: None,
    };
    let here = source.root.as_os_str().is_empty();
    let root = if here { Path::new(".") } else { &source.root };
    let mut entries = WalkDir::new(root)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter();
    while let Some(entry) = entries.next() {
        if walk.listing.objects.has_failed() {
            return;
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                walk.fail(root, error);
                continue;
            }
        };
        // A pattern without a folder must give names without one.
        let path = match entry.path().strip_prefix(".") {
            Ok(inner) if here => inner,
            _ => entry.path(),
        };
        if entry.file_type().is_dir() {
            if walk.leaves_out_folder(entry.path()) {
                entries.skip_current_dir();
            }
        } else if source.matches(path) {
            walk.take(&entry, path);
            if walk.listing.listed.is_multiple_of(PROGRESS_STEP) {
                progress(walk.listing.listed);
            }
        }
    }
}

impl Walk<'_> {
    fn leaves_out_folder(&mut self, path: &Path) -> bool {
        if let Some(text) = path.to_str()
            && let FolderVerdict::Pruned(reason) = self.selection.judge_folder(&format!("{text}/"))
        {
            self.listing.prune(reason);
            return true;
        }
        // A folder that cannot be resolved cannot be opened either: the walk names it.
        let Ok(real) = fs::canonicalize(path) else {
            return false;
        };
        let is_known = !self.folders.insert(real);
        if is_known {
            self.listing.prune(OutOfSelection::ListedTwice);
        }
        is_known
    }

    fn take(&mut self, entry: &DirEntry, path: &Path) {
        let Some(uri) = path.to_str() else {
            let place = path.to_string_lossy().into_owned();
            return self.listing.fail(place, ListError::NameNotUtf8);
        };
        if !entry.file_type().is_file() {
            tracing::warn!(path = uri, kind = kind_name(entry.file_type()), "skipped");
            return self.listing.leave_out(OutOfSelection::NotRegularFile);
        }
        let size = match entry.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) => return self.fail(path, error),
        };
        match self.real_path_hash(entry) {
            Ok(hash) if !self.seen.files.insert(hash) => {
                self.listing.leave_out(OutOfSelection::ListedTwice);
            }
            Ok(_) => self.listing.admit(
                self.selection,
                ObjectRef {
                    uri: uri.into(),
                    size,
                    etag: None,
                    kind: ObjectKind::Unknown,
                    date: None,
                },
            ),
            Err(error) => self
                .listing
                .fail(uri.to_owned(), list_error(error.kind(), error)),
        }
    }

    /// Resolves symlinks once a folder, not once a file.
    fn real_path_hash(&mut self, entry: &DirEntry) -> std::io::Result<u128> {
        let path = entry.path();
        let real = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if !entry.path_is_symlink() => {
                let known = self
                    .last_folder
                    .as_ref()
                    .is_some_and(|(walked, _)| walked == folder);
                if !known {
                    let given = if folder.as_os_str().is_empty() {
                        Path::new(".")
                    } else {
                        folder
                    };
                    self.last_folder = Some((folder.to_owned(), fs::canonicalize(given)?));
                }
                let (_, real) = self.last_folder.as_ref().expect("it was set just above");
                real.join(name)
            }
            _ => fs::canonicalize(path)?,
        };
        let hash = SipHasher13::new().hash(real.as_os_str().as_encoded_bytes());
        Ok(hash.as_u128())
    }

    fn fail(&mut self, path: &Path, error: walkdir::Error) {
        if error.loop_ancestor().is_some() {
            return self.listing.prune(OutOfSelection::ListedTwice);
        }
        let place = error.path().unwrap_or(path).to_string_lossy().into_owned();
        let kind = error
            .io_error()
            .map_or(ErrorKind::Other, std::io::Error::kind);
        self.listing.fail(place, list_error(kind, error));
    }
}

fn list_error(kind: ErrorKind, error: impl std::error::Error + Send + Sync + 'static) -> ListError {
    match kind {
        ErrorKind::PermissionDenied => ListError::Denied(error.into()),
        ErrorKind::NotFound => ListError::NotFound(error.into()),
        _ => ListError::Other(error.into()),
    }
}

#[cfg(unix)]
fn kind_name(file_type: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if file_type.is_fifo() {
        "pipe"
    } else if file_type.is_socket() {
        "socket"
    } else {
        "device"
    }
}

#[cfg(not(unix))]
fn kind_name(_: FileType) -> &'static str {
    "special file"
}

/// Reads a listed file of `size` bytes into `buffer`.
///
/// Asks the file system for nothing but the bytes: small files are the common case.
pub(super) fn read(uri: &str, size: u64, buffer: &mut Vec<u8>) -> Result<(), FetchError> {
    buffer.clear();
    check_size(uri, size, MAX_OBJECT_BYTES)?;
    let file = File::open(uri).map_err(|error| fetch_error(uri, error))?;
    // One byte more than listed shows a file that has grown.
    let most = size + 1;
    buffer.reserve(usize::try_from(most).expect("check_size bounds it"));
    let received = file
        .take(most)
        .read_to_end(buffer)
        .map_err(|error| fetch_error(uri, error))?;
    if received as u64 != size {
        buffer.clear();
        return Err(FetchError::Changed {
            uri: uri.to_owned(),
        });
    }
    Ok(())
}

/// Reads a file whatever its size, up to a limit, into `buffer`.
pub(super) fn read_as_it_is(uri: &str, limit: u64, buffer: &mut Vec<u8>) -> Result<(), FetchError> {
    let metadata = fs::metadata(uri).map_err(|error| fetch_error(uri, error))?;
    if !metadata.is_file() {
        let error = std::io::Error::from(ErrorKind::InvalidInput);
        return Err(fetch_error(uri, error));
    }
    check_size(uri, metadata.len(), limit)?;
    read(uri, metadata.len(), buffer)
}

fn fetch_error(uri: &str, error: std::io::Error) -> FetchError {
    let uri = uri.to_owned();
    match error.kind() {
        ErrorKind::NotFound => FetchError::Gone { uri },
        ErrorKind::PermissionDenied => FetchError::Denied {
            uri,
            source: error.into(),
        },
        _ => FetchError::Other {
            uri,
            source: error.into(),
        },
    }
}
