//! The lakes that executors read, by the address that stands in a plan:
//! `lake://<place in hex>.<version in hex>`. The version is that of the client: an executor of another
//! one may mean something else by the same function.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use super::Site;
use crate::lake::hex::{from_hex, hex};

const SCHEME: &str = "lake";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The place and the version that stand in an address.
fn read(url: &Url) -> Option<(String, String)> {
    let (place, version) = url.host_str()?.split_once('.')?;
    let text = |digits| String::from_utf8(from_hex(digits)?).ok();
    match url.scheme() {
        SCHEME => Some((text(place)?, text(version)?)),
        _ => None,
    }
}

/// The address of a lake's place in plans.
pub fn url(place: &str) -> Result<ObjectStoreUrl> {
    let (place, version) = (hex(place.as_bytes()), hex(VERSION.as_bytes()));
    ObjectStoreUrl::parse(format!("{SCHEME}://{place}.{version}"))
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
        let (place, version) = read(url)
            .ok_or_else(|| exec_datafusion_err!("an executor reads lakes alone, not {url}"))?;
        if version != VERSION {
            return exec_err!(
                "executor {} is dynatrail {VERSION}, the client is {version}: use the same everywhere",
                self.site.name()
            );
        }
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
            // Another executor may be able to.
            .map_err(|words| DataFusionError::IoError(std::io::Error::other(words)))?;
        open.insert(name, store.clone());
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::S3Options;
    use crate::lake::Store;

    fn stores() -> (tokio::runtime::Runtime, LakeStores) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let open = Box::new(|place: &str| Ok(Store::local(place)));
        let handle = runtime.handle().clone();
        let site = Site::new("here", open, S3Options::default(), handle);
        (runtime, LakeStores::new(Arc::new(site)))
    }

    #[test]
    fn lakes_alone_are_opened() {
        let (_runtime, stores) = stores();
        let folder = std::env::temp_dir();
        let url = url(folder.to_str().expect("UTF-8")).expect("an address");
        stores
            .get_store(url.as_ref())
            .expect("the folder is opened");
        for other in ["file:///etc", "s3://bucket", "lake://2f"] {
            let url = Url::parse(other).expect("an address");
            assert!(stores.get_store(&url).is_err(), "{other}");
        }
    }

    #[test]
    fn another_version_is_refused_and_named() {
        let (_runtime, stores) = stores();
        let url = format!("lake://{}.{}", hex(b"/tmp"), hex(b"9.9.9"));
        let url = Url::parse(&url).expect("an address");
        let words = stores.get_store(&url).expect_err("refused").to_string();
        assert!(words.contains("executor here is dynatrail"), "{words}");
        assert!(words.contains("the client is 9.9.9"), "{words}");
    }
}
