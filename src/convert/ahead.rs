//! Fetches the first objects of the next unit while the one before is still being decoded, so
//! that a unit does not begin by waiting for S3.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::archive::{Archive, FetchError};
use crate::lake::{PlannedObject, PlannedUnit};

/// Compressed bytes of the next unit that are fetched before it begins.
const AHEAD_BYTES: u64 = 16 << 20;

/// Objects of the next unit that are fetched before it begins.
const AHEAD_OBJECTS: usize = 256;

/// Fetches ahead that are under way at once.
const AHEAD_FETCHES: usize = 32;

/// What is fetched ahead, and what shall be.
#[derive(Default)]
pub struct Ahead {
    next: Mutex<Vec<PlannedObject>>,
    begun: Mutex<HashMap<String, JoinHandle<Result<Bytes, FetchError>>>>,
}

impl Ahead {
    /// Says which unit comes next, so that its beginning can be fetched.
    pub fn announce(&self, unit: Option<&PlannedUnit>) {
        let mut bytes = 0;
        let objects = unit.into_iter().flat_map(|unit| &unit.objects);
        let first = objects.take(AHEAD_OBJECTS).take_while(|object| {
            bytes += object.size_bytes;
            bytes <= AHEAD_BYTES
        });
        *held(&self.next) = first.cloned().collect();
    }

    /// Begins to fetch what was announced, once.
    pub fn begin(&self, archive: &Arc<Archive>, runtime: &Handle) {
        let permits = Arc::new(Semaphore::new(AHEAD_FETCHES));
        for object in std::mem::take(&mut *held(&self.next)) {
            if !archive.is_remote(&object.uri) {
                continue;
            }
            let (archive, permits) = (archive.clone(), permits.clone());
            let uri = object.uri.clone();
            let fetch = runtime.spawn(async move {
                let _permit = permits.acquire().await;
                fetch_now(&archive, &object).await
            });
            held(&self.begun).insert(uri, fetch);
        }
    }

    /// The object's bytes: those fetched ahead, or fetched now.
    pub async fn fetch(
        &self,
        archive: &Archive,
        object: &PlannedObject,
    ) -> Result<Bytes, FetchError> {
        let begun = held(&self.begun).remove(&object.uri);
        if let Some(begun) = begun
            && let Ok(outcome) = begun.await
        {
            return outcome;
        }
        fetch_now(archive, object).await
    }
}

async fn fetch_now(archive: &Archive, object: &PlannedObject) -> Result<Bytes, FetchError> {
    let etag = object.etag.as_deref();
    archive.fetch(&object.uri, object.size_bytes, etag).await
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it holds the lock")
}
