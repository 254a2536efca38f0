//! The files of a lake that lives in a folder.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{StoreError, local};
use crate::lake::process;

/// A name that no other writer has: executors of a cluster may write the same file at once, all the
/// same bytes.
pub(super) fn staging_name(path: &str) -> String {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
    let (host, pid) = (process::host(), std::process::id());
    format!("{}~{host}~{pid}~{writer}", path.replace('/', "~"))
}

pub(in crate::lake) fn create_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    create_folder(parent).map_err(|source| local("create", parent.to_owned(), source))
}

/// Makes a folder, with those above it, so that it outlasts a power cut.
fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new("."));
    create_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => persist_names(above),
    }
}

/// Brings the names in a folder to the disk: a receipt must not outlast a power cut that its parts
/// do not.
pub(super) fn persist_names(folder: &Path) -> io::Result<()> {
    let is_here = folder.as_os_str().is_empty();
    File::open(if is_here { Path::new(".") } else { folder })?.sync_all()
}

pub(super) fn list_folder(
    root: &Path,
    folder: &Path,
    files: &mut Vec<(String, u64)>,
) -> Result<(), StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(local("list", folder.to_owned(), source)),
    };
    for entry in entries {
        let entry = entry.map_err(|source| local("list", folder.to_owned(), source))?;
        let path = entry.path();
        let metadata = entry
            .metadata()
            .map_err(|source| local("list", path.clone(), source))?;
        if metadata.is_dir() {
            list_folder(root, &path, files)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            files.push((
                relative.to_string_lossy().replace('\\', "/"),
                metadata.len(),
            ));
        }
    }
    Ok(())
}
