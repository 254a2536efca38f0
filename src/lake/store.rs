//! Where a lake lives: a folder, or a prefix of an S3 bucket. Files appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
pub(super) use folder::create_parent;
use folder::{list_folder, persist_names, staging_name};
use futures::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
pub use reader::StoreReader;
use tokio::runtime::Handle;

use super::lock::Lease;

mod folder;
mod reader;

/// The size of the pieces in which large files go to S3, in bytes.
const UPLOAD_PART_BYTES: usize = 8 << 20;

/// How many pieces of a file are on their way at once.
const UPLOADS_IN_FLIGHT: usize = 4;

/// Files that are being written stand here until they are whole.
const STAGING: &str = "_dynatrail/tmp";

/// How often it is tried to remove it.
const STAGING_CLEARED: usize = 10;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} {path}")]
    Local {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot {action} {path}")]
    Remote {
        action: &'static str,
        path: String,
        source: object_store::Error,
    },
    #[error("cannot {action} {path}: the lock of the lake is lost, another run may hold it")]
    LockLost { action: &'static str, path: String },
}

/// A place for files with relative paths such as `events/dt=2025-01-02/x.parquet`.
pub enum Store {
    Local {
        root: PathBuf,
    },
    S3 {
        bucket: String,
        client: Arc<AmazonS3>,
        prefix: String,
        runtime: Handle,
        /// Of a run that writes: without it nothing is written.
        lease: Option<Arc<Lease>>,
    },
}

/// How often a folder is listed whose answer breaks off.
const LIST_ATTEMPTS: usize = 5;

impl Store {
    pub fn local(root: impl Into<PathBuf>) -> Self {
        Self::Local { root: root.into() }
    }

    /// A lake below `prefix` of the client's bucket; waits on `runtime`.
    pub fn s3(bucket: &str, client: AmazonS3, prefix: &str, runtime: Handle) -> Self {
        Self::S3 {
            bucket: bucket.to_owned(),
            client: Arc::new(client),
            prefix: prefix.trim_matches('/').to_owned(),
            runtime,
            lease: None,
        }
    }

    /// Whether this run may still write: a lock in S3 can be lost to another run.
    fn ensure_held(&self, action: &'static str, path: &str) -> Result<(), StoreError> {
        match self {
            Self::S3 {
                lease: Some(lease), ..
            } if !lease.is_held() => Err(StoreError::LockLost {
                action,
                path: self.full_path(path),
            }),
            _ => Ok(()),
        }
    }

    /// The place as a person writes it.
    pub fn place(&self) -> String {
        match self {
            Self::Local { root } => root.display().to_string(),
            Self::S3 { bucket, prefix, .. } => format!("s3://{bucket}/{prefix}"),
        }
    }

    /// A file's full name as a person writes it.
    pub fn full_path(&self, path: &str) -> String {
        format!("{}/{path}", self.place().trim_end_matches('/'))
    }

    /// The contents of a file, or nothing where there is none.
    pub fn read(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        match self {
            Self::Local { root } => match fs::read(root.join(path)) {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(local("read", root.join(path), source)),
            },
            Self::S3 {
                client, runtime, ..
            } => {
                let location = self.location(path);
                let read = async { client.get(&location).await?.bytes().await };
                match runtime.block_on(read) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(object_store::Error::NotFound { .. }) => Ok(None),
                    Err(source) => Err(self.remote("read", path, source)),
                }
            }
        }
    }

    /// Paths below a folder, sorted, with their sizes in bytes; none where it does not exist.
    pub fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let mut files = match self {
            Self::Local { root } => {
                let mut files = Vec::new();
                list_folder(root, &root.join(folder), &mut files)?;
                files
            }
            Self::S3 {
                client,
                prefix,
                runtime,
                ..
            } => {
                let location = self.location(folder);
                let strip = prefix.len() + usize::from(!prefix.is_empty());
                let once = |_| runtime.block_on(client.list(Some(&location)).try_collect());
                // The client does not ask again where an answer broke off.
                let listed: Result<Vec<_>, _> =
                    (1..LIST_ATTEMPTS).fold(once(0), |listed, n| listed.or_else(|_| once(n)));
                listed
                    .map_err(|source| self.remote("list", folder, source))?
                    .into_iter()
                    .map(|meta| (meta.location.as_ref()[strip..].to_owned(), meta.size))
                    .collect()
            }
        };
        files.sort();
        Ok(files)
    }

    /// Writes a file as a whole, replacing what is there.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut writer = self.create(path)?;
        writer
            .write_all(bytes)
            .map_err(|source| writer.failed(source))?;
        writer.finish()
    }

    /// Removes a file; it is no error if there is none.
    pub fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.ensure_held("remove", path)?;
        match self {
            Self::Local { root } => match fs::remove_file(root.join(path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(local("remove", root.join(path), error))
                }
                _ => Ok(()),
            },
            Self::S3 {
                client, runtime, ..
            } => match runtime.block_on(client.delete(&self.location(path))) {
                Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
                Err(source) => Err(self.remote("remove", path, source)),
            },
        }
    }

    /// Begins a file that appears when its writer is finished.
    pub fn create(&self, path: &str) -> Result<StoreWriter, StoreError> {
        let target = match self {
            Self::Local { root } => {
                let staging = root.join(STAGING).join(staging_name(path));
                create_parent(&staging)?;
                let file = File::create(&staging)
                    .map_err(|source| local("create", staging.clone(), source))?;
                Target::Local {
                    file: BufWriter::with_capacity(1 << 18, file),
                    staging,
                    path: root.join(path),
                }
            }
            Self::S3 {
                client, runtime, ..
            } => Target::S3 {
                client: client.clone(),
                runtime: runtime.clone(),
                location: self.location(path),
                buffer: Vec::new(),
                upload: None,
            },
        };
        Ok(StoreWriter {
            target: Some(target),
            name: self.full_path(path),
            lease: self.lease(),
            written_bytes: 0,
        })
    }

    /// Opens a file for reading pieces of it.
    pub fn open(&self, path: &str) -> Result<StoreReader, StoreError> {
        match self {
            Self::Local { root } => {
                let path = root.join(path);
                let file = File::open(&path);
                let length = file.as_ref().ok().and_then(|file| file.metadata().ok());
                match (file, length) {
                    (Ok(file), Some(metadata)) => Ok(StoreReader::Local {
                        file: Arc::new(file),
                        length: metadata.len(),
                    }),
                    (Err(source), _) => Err(local("open", path, source)),
                    (Ok(_), None) => Err(local("open", path, io::ErrorKind::Other.into())),
                }
            }
            Self::S3 {
                client, runtime, ..
            } => {
                let location = self.location(path);
                let meta = runtime
                    .block_on(client.head(&location))
                    .map_err(|source| self.remote("open", path, source))?;
                Ok(StoreReader::S3 {
                    client: client.clone(),
                    runtime: runtime.clone(),
                    location,
                    length: meta.size,
                })
            }
        }
    }

    /// Removes what interrupted writers have left behind.
    pub fn clear_staging(&self) -> Result<(), StoreError> {
        if let Self::Local { root } = self {
            let staging = root.join(STAGING);
            // One who works for a run that is gone may just begin a file in it.
            let mut removed = Ok(());
            for _ in 0..STAGING_CLEARED {
                removed = match staging.is_dir() {
                    true => fs::remove_dir_all(&staging),
                    false => Ok(()),
                };
                let is_refilled = |error: &io::Error| {
                    matches!(
                        error.kind(),
                        ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound
                    )
                };
                if !removed.as_ref().is_err_and(is_refilled) {
                    break;
                }
            }
            removed.map_err(|source| local("remove", staging, source))?;
        }
        Ok(())
    }

    fn lease(&self) -> Option<Arc<Lease>> {
        match self {
            Self::Local { .. } => None,
            Self::S3 { lease, .. } => lease.clone(),
        }
    }

    pub(super) fn location(&self, path: &str) -> ObjectPath {
        match self {
            Self::Local { .. } => ObjectPath::from(path),
            Self::S3 { prefix, .. } => ObjectPath::from(format!("{prefix}/{path}")),
        }
    }

    pub(super) fn remote(
        &self,
        action: &'static str,
        path: &str,
        source: object_store::Error,
    ) -> StoreError {
        StoreError::Remote {
            action,
            path: self.full_path(path),
            source,
        }
    }
}

pub(super) fn local(action: &'static str, path: PathBuf, source: io::Error) -> StoreError {
    StoreError::Local {
        action,
        path,
        source,
    }
}

/// Writes one file. Dropped unfinished, it leaves nothing behind.
pub struct StoreWriter {
    target: Option<Target>,
    name: String,
    lease: Option<Arc<Lease>>,
    written_bytes: u64,
}

enum Target {
    Local {
        file: BufWriter<File>,
        staging: PathBuf,
        path: PathBuf,
    },
    S3 {
        client: Arc<AmazonS3>,
        runtime: Handle,
        location: ObjectPath,
        buffer: Vec<u8>,
        upload: Option<WriteMultipart>,
    },
}

impl StoreWriter {
    /// The error of a failed write to this file.
    pub fn failed(&self, source: io::Error) -> StoreError {
        local("write", PathBuf::from(&self.name), source)
    }

    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Makes the file appear.
    pub fn finish(mut self) -> Result<(), StoreError> {
        if self.lease.as_ref().is_some_and(|lease| !lease.is_held()) {
            return Err(StoreError::LockLost {
                action: "write",
                path: self.name.clone(),
            });
        }
        match self.target.take().expect("a writer is finished once") {
            Target::Local {
                file,
                staging,
                path,
            } => {
                let finished = file
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .and_then(|file| file.sync_data())
                    .map_err(|source| local("write", path.clone(), source))
                    .and_then(|()| create_parent(&path))
                    .and_then(|()| {
                        fs::rename(&staging, &path)
                            .and_then(|()| persist_names(path.parent().unwrap_or(Path::new("."))))
                            .map_err(|source| local("write", path.clone(), source))
                    });
                if finished.is_err() {
                    // The first error is the one to tell; the leftover is cleared at the next run.
                    let _ = fs::remove_file(&staging);
                }
                finished
            }
            Target::S3 {
                client,
                runtime,
                location,
                buffer,
                upload,
            } => {
                let sent = match upload {
                    Some(mut upload) => runtime.block_on(async move {
                        upload.put(buffer.into());
                        upload.finish().await
                    }),
                    None => runtime.block_on(client.put(&location, PutPayload::from(buffer))),
                };
                sent.map(|_| ()).map_err(|source| StoreError::Remote {
                    action: "write",
                    path: self.name.clone(),
                    source,
                })
            }
        }
    }
}

impl Write for StoreWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.target.as_mut().expect("a finished writer is gone") {
            Target::Local { file, .. } => file.write(bytes)?,
            Target::S3 {
                client,
                runtime,
                location,
                buffer,
                upload,
            } => {
                buffer.extend_from_slice(bytes);
                if buffer.len() >= UPLOAD_PART_BYTES {
                    let piece = std::mem::take(buffer);
                    let sent: Result<(), object_store::Error> = runtime.block_on(async {
                        let upload = match upload {
                            Some(upload) => upload,
                            None => upload.insert(WriteMultipart::new_with_chunk_size(
                                client.put_multipart(location).await?,
                                UPLOAD_PART_BYTES,
                            )),
                        };
                        upload.wait_for_capacity(UPLOADS_IN_FLIGHT).await?;
                        upload.put(piece.into());
                        Ok(())
                    });
                    sent.map_err(io::Error::other)?;
                }
                bytes.len()
            }
        };
        self.written_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        match self.target.take() {
            Some(Target::Local { staging, file, .. }) => {
                drop(file);
                let _ = fs::remove_file(staging);
            }
            Some(Target::S3 {
                runtime,
                upload: Some(upload),
                ..
            }) => {
                let _ = runtime.block_on(upload.abort());
            }
            _ => {}
        }
    }
}
