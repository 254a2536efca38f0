//! Who writes to a lake: one run at a time, by a lock that no crash leaves behind.
//!
//! In a folder the operating system holds it and lets it go with the process. In S3 it is an object
//! that is written on conditions (If-None-Match, If-Match): its holder renews it, and a lock that is
//! not renewed for [`LEASE`], by the clock of whoever looks, is nobody's. Where the holder ran on this
//! machine, whether it still does is looked up instead. A holder that cannot renew writes no more.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::store::{Store, StoreError, create_parent, local};
use super::{LakeError, process};

/// The lock's file. Empty while nobody holds it.
pub const LOCK: &str = "_dynatrail/lock";

/// A lock in S3 that is not renewed for so long is nobody's.
pub const LEASE: Duration = Duration::from_secs(60);

/// How often a lock in S3 is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(12);

/// How often one that may have been left behind is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// How often, and with what between, a file's lock is tried whose holder is gone.
const LOOKS_AT_ONE_THAT_IS_GONE: u32 = 10;
const LOOKS_TAKE: Duration = Duration::from_millis(20);

/// The most bytes of a lock's file that are read.
const MAX_LOCK_BYTES: u64 = 64 << 10;

/// Who holds a lock, for the person who reads it and for the next run on the same machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub host: String,
    pub pid: u32,
    /// When the run began, RFC 3339.
    pub since: String,
    /// The process beyond doubt: see [`process::identity`].
    #[serde(default)]
    process: Option<process::Identity>,
    /// Counts up, so that every renewal changes the object.
    #[serde(default)]
    renewals: u64,
}

impl Holder {
    /// This process, whose run began at a time.
    pub fn this_process(since: String) -> Self {
        Self {
            host: process::host(),
            pid: std::process::id(),
            since,
            process: process::identity(std::process::id()),
            renewals: 0,
        }
    }

    /// Whether it runs, where it is a process of this machine.
    fn is_running(&self) -> Option<bool> {
        let held = self.process.as_ref()?;
        let own = process::identity(std::process::id())?;
        let found = process::identity(self.pid);
        held.is_of_same_machine(&own)
            .then(|| found.is_some_and(|found| found == *held))
    }

    /// Whether it is the same run, however often it has renewed its lock.
    fn is_same_run(&self, other: &Self) -> bool {
        let run = |holder: &Self| Self {
            renewals: 0,
            ..holder.clone()
        };
        run(self) == run(other)
    }

    fn in_words(&self) -> String {
        format!("process {} on {} since {}", self.pid, self.host, self.since)
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data becomes JSON")
    }
}

/// The right to write to a lake. Given back when it is dropped.
#[must_use]
pub struct Lock {
    held: Held,
}

enum Held {
    Local(File),
    S3 {
        lease: Arc<Lease>,
        renewing: JoinHandle<()>,
        runtime: tokio::runtime::Handle,
    },
}

impl Lock {
    /// Takes the lock of a lake, which may not exist yet; from then on the store writes only while it
    /// is held.
    ///
    /// # Errors
    /// [`LakeError::Held`] where another run has it.
    pub fn take(store: &mut Store, holder: &Holder) -> Result<Self, LakeError> {
        let place = store.place();
        let location = store.location(LOCK);
        match store {
            Store::Local { root } => take_file(root.join(LOCK), &place, holder),
            Store::S3 {
                client,
                runtime,
                lease: kept,
                ..
            } => {
                let lease = Lease {
                    client: client.clone(),
                    location,
                    place,
                    state: Mutex::new(LeaseState {
                        holder: holder.clone(),
                        version: UpdateVersion {
                            e_tag: None,
                            version: None,
                        },
                        renewed: Instant::now(),
                        is_lost: false,
                    }),
                };
                let lease = Arc::new(lease);
                runtime.block_on(lease.take())?;
                let renewing = runtime.spawn(keep_renewing(lease.clone()));
                *kept = Some(lease.clone());
                Ok(Self {
                    held: Held::S3 {
                        lease,
                        renewing,
                        runtime: runtime.clone(),
                    },
                })
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        match &mut self.held {
            // The system lets it go; that the file is empty is for the person who looks.
            Held::Local(file) => {
                let _ = file.set_len(0);
            }
            Held::S3 {
                lease,
                renewing,
                runtime,
            } => {
                renewing.abort();
                if let Err(error) = runtime.block_on(lease.give_back()) {
                    tracing::warn!(%error, "the lock is left to run out");
                }
            }
        }
    }
}

fn take_file(path: PathBuf, place: &str, holder: &Holder) -> Result<Lock, LakeError> {
    let failed = |source| LakeError::Store(local("lock", path.clone(), source));
    create_parent(&path)?;
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    for looked in 0.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                file.rewind().map_err(failed)?;
                let mut text = Vec::new();
                let mut head = (&mut file).take(MAX_LOCK_BYTES);
                head.read_to_end(&mut text).map_err(failed)?;
                let holder = serde_json::from_slice::<Holder>(&text).ok();
                let is_running = holder.and_then(|holder| holder.is_running());
                // One who worked for a run that is gone may just look whether it is.
                if is_running != Some(false) || looked >= LOOKS_AT_ONE_THAT_IS_GONE {
                    return Err(held(place, &text));
                }
                std::thread::sleep(LOOKS_TAKE);
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    // A full disk must not keep a run from saying so itself.
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(&holder.bytes()))
        // Other machines read it, where the folder is theirs too.
        .and_then(|()| file.sync_data());
    if let Err(error) = written {
        tracing::warn!(%error, "the lock does not say who holds it");
    }
    Ok(Lock {
        held: Held::Local(file),
    })
}

/// Whether a run holds the lock of a lake, seen from another process, which works for it.
///
/// # Errors
/// There is no lock, though one stays where a lake has ever been written to: whoever looks does not see
/// the lake.
pub fn is_held_by(store: &Store, holder: &Holder) -> Result<bool, LakeError> {
    if let Store::Local { root } = store {
        let path = root.join(LOCK);
        // The file of a run that was killed still names it.
        match File::open(&path).map(|file| file.try_lock_shared()) {
            Ok(Err(TryLockError::WouldBlock)) => {}
            Ok(Ok(())) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(LakeError::Missing(LOCK.to_owned()));
            }
            Ok(Err(TryLockError::Error(source))) | Err(source) => {
                return Err(LakeError::Store(local("lock", path, source)));
            }
        }
    }
    let text = store.read(LOCK)?;
    let text = text.ok_or_else(|| LakeError::Missing(LOCK.to_owned()))?;
    let found = serde_json::from_slice::<Holder>(&text);
    Ok(found.is_ok_and(|found| found.is_same_run(holder)))
}

fn held(place: &str, text: &[u8]) -> LakeError {
    let holder = serde_json::from_slice::<Holder>(text);
    LakeError::Held {
        place: place.to_owned(),
        holder: holder.map_or_else(|_| "another run".to_owned(), |holder| holder.in_words()),
    }
}

/// A lock in S3 that this process holds.
#[derive(Debug)]
pub struct Lease {
    client: Arc<AmazonS3>,
    location: ObjectPath,
    place: String,
    state: Mutex<LeaseState>,
}

#[derive(Debug)]
struct LeaseState {
    holder: Holder,
    /// What this process wrote last.
    version: UpdateVersion,
    /// When it began to write it.
    renewed: Instant,
    is_lost: bool,
}

/// What stands in the lock's object.
struct Found {
    version: UpdateVersion,
    text: Vec<u8>,
}

impl Lease {
    /// Whether nobody else can hold the lock.
    pub fn is_held(&self) -> bool {
        let state = self.state();
        !state.is_lost && state.renewed.elapsed() < LEASE
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self) -> Result<(), LakeError> {
        let began = Instant::now();
        let mut looked_at: Option<Found> = None;
        loop {
            let found = self.look().await?;
            let mode = match found {
                None => PutMode::Create,
                Some(found) if found.text.is_empty() => PutMode::Update(found.version),
                Some(found) => {
                    let holder = serde_json::from_slice::<Holder>(&found.text).ok();
                    let is_running = holder.and_then(|holder| holder.is_running());
                    let is_renewed = looked_at
                        .as_ref()
                        .is_some_and(|before| before.version.e_tag != found.version.e_tag);
                    if is_renewed || is_running == Some(true) {
                        return Err(held(&self.place, &found.text));
                    }
                    if is_running.is_none() && began.elapsed() < LEASE {
                        tracing::info!(
                            "the lock may be left behind: looking whether it is renewed"
                        );
                        looked_at = Some(found);
                        tokio::time::sleep(LOOKED_AT_EVERY).await;
                        continue;
                    }
                    PutMode::Update(found.version)
                }
            };
            match self.write(mode).await {
                Ok(()) => return Ok(()),
                // Somebody was quicker: who, the next look tells.
                Err(
                    object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. },
                ) => continue,
                Err(source) => return Err(self.failed("lock", source).into()),
            }
        }
    }

    async fn look(&self) -> Result<Option<Found>, StoreError> {
        let found = match self.client.get(&self.location).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(self.failed("read", source)),
        };
        let version = UpdateVersion {
            e_tag: found.meta.e_tag.clone(),
            version: found.meta.version.clone(),
        };
        // What is too long is no lock of ours, but somebody's file.
        let text = match found.meta.size {
            0..=MAX_LOCK_BYTES => found.bytes().await,
            _ => Ok(b"?".to_vec().into()),
        };
        let text = text.map_err(|source| self.failed("read", source))?.to_vec();
        Ok(Some(Found { version, text }))
    }

    /// Writes this process into the object, on a condition.
    async fn write(&self, mode: PutMode) -> Result<(), object_store::Error> {
        let (bytes, began) = {
            let mut state = self.state();
            state.holder.renewals += 1;
            (state.holder.bytes(), Instant::now())
        };
        let payload = PutPayload::from(bytes.clone());
        let options = PutOptions::from(mode);
        let put = self.client.put_opts(&self.location, payload, options).await;
        let version = match put {
            Ok(put) => put.into(),
            // The answer to a first attempt may have been lost, and the second met its own object.
            Err(error) => match self.look().await {
                Ok(Some(found)) if found.text == bytes => found.version,
                _ => return Err(error),
            },
        };
        let mut state = self.state();
        state.version = version;
        state.renewed = began;
        Ok(())
    }

    async fn give_back(&self) -> Result<(), object_store::Error> {
        let version = self.state().version.clone();
        let options = PutOptions::from(PutMode::Update(version));
        let empty = PutPayload::from(Vec::new());
        self.client
            .put_opts(&self.location, empty, options)
            .await
            .map(|_| ())
    }

    fn failed(&self, action: &'static str, source: object_store::Error) -> StoreError {
        StoreError::Remote {
            action,
            path: format!("{}/{LOCK}", self.place.trim_end_matches('/')),
            source,
        }
    }
}

async fn keep_renewing(lease: Arc<Lease>) {
    loop {
        tokio::time::sleep(RENEWED_EVERY).await;
        let version = lease.state().version.clone();
        match lease.write(PutMode::Update(version)).await {
            Ok(()) => {}
            Err(error @ object_store::Error::Precondition { .. }) => {
                tracing::error!(%error, "another run has taken the lock");
                lease.state().is_lost = true;
                return;
            }
            // The next attempt may come through before the lease ends.
            Err(error) => tracing::warn!(%error, "the lock was not renewed"),
        }
    }
}
