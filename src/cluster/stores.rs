//! The lakes that executors read, by the address that stands in a plan: `lake://<place in hex>`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use super::Site;
use crate::lake::hex::{from_hex, hex};

const SCHEME: &str = "lake";

/// The address of a lake's place in plans.
pub fn url(place: &str) -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(format!("{SCHEME}://{}", hex(place.as_bytes())))
}

/// Stores of one who plans: a plan that is read anew asks for them, and reads nothing from them.
#[derive(Debug)]
pub struct UnreadStores;

impl ObjectStoreRegistry for UnreadStores {
    fn register_store(&self, _: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        Some(store)
    }

    fn get_store(&self, _: &Url) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(InMemory::new()))
    }
}

/// Opens lakes when a task first reads them; nothing else can be read.
#[derive(Debug)]
pub struct LakeStores {
    site: Arc<Site>,
    open: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl LakeStores {
    pub fn new(site: Arc<Site>) -> Self {
        Self {
            site,
            open: Mutex::default(),
        }
    }
}

impl ObjectStoreRegistry for LakeStores {
    fn register_store(&self, _: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        // Which store serves an address is the executor's to say.
        Some(store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let name = url.host_str().unwrap_or_default().to_owned();
        let place = (url.scheme() == SCHEME)
            .then(|| from_hex(&name))
            .flatten()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| exec_datafusion_err!("an executor reads lakes alone, not {url}"))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.get(&name) {
            return Ok(store.clone());
        }
        let site = self.site.clone();
        // Opening waits for the network, which the thread of a task must not.
        let opened = std::thread::spawn(move || {
            let store = site.lake(&place)?;
            store.object_store().map_err(|error| site.words(&error))
        });
        let store = opened
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map_err(|words| exec_datafusion_err!("{words}"))?;
        open.insert(name, store.clone());
        Ok(store)
    }
}
