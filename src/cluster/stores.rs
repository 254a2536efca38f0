//! The lakes that executors read, by the address that stands in a plan:
//! `lake://<place in hex>.<version in hex>`. The version is that of the client: an executor of another
//! one may mean something else by the same function.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tokio::sync::OnceCell;
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

/// Lakes, of which each is opened when a task first reads it; nothing else can be read.
#[derive(Debug)]
pub struct LakeStores {
    site: Arc<Site>,
    known: Mutex<HashMap<String, Arc<LazyLake>>>,
}

impl LakeStores {
    pub fn new(site: Arc<Site>) -> Self {
        Self {
            site,
            known: Mutex::default(),
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
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let lake = known.entry(name).or_insert_with(|| {
            Arc::new(LazyLake {
                site: self.site.clone(),
                place,
                version,
                open: OnceCell::new(),
            })
        });
        Ok(lake.clone())
    }
}

/// A lake that is opened when it is first read. What is wrong with it is an error of the task that
/// reads: of one that cannot even read its plan the engine tells nobody why.
#[derive(Debug)]
struct LazyLake {
    site: Arc<Site>,
    place: String,
    version: String,
    open: OnceCell<Arc<dyn ObjectStore>>,
}

impl fmt::Display for LazyLake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl LazyLake {
    async fn store(&self) -> object_store::Result<&Arc<dyn ObjectStore>> {
        self.open.get_or_try_init(|| self.open()).await
    }

    async fn open(&self) -> object_store::Result<Arc<dyn ObjectStore>> {
        if self.version != VERSION {
            return Err(failed(format!(
                "executor {} is dynatrail {VERSION}, the client is {}: use the same everywhere",
                self.site.name(),
                self.version
            )));
        }
        let (site, place) = (self.site.clone(), self.place.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let store = site.lake(&place)?;
            store.object_store().map_err(|error| site.words(&error))
        });
        opened
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(failed)
    }
}

fn failed(words: String) -> object_store::Error {
    object_store::Error::Generic {
        store: SCHEME,
        source: words.into(),
    }
}

/// What a question has no need of.
fn unneeded<T>() -> object_store::Result<T> {
    Err(object_store::Error::NotSupported {
        source: "a question only reads the parts that its plan names".into(),
    })
}

#[async_trait::async_trait]
impl ObjectStore for LazyLake {
    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.store().await?.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        self.store().await?.get_ranges(location, ranges).await
    }

    async fn put_opts(
        &self,
        _: &Path,
        _: PutPayload,
        _: PutOptions,
    ) -> object_store::Result<PutResult> {
        unneeded()
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        unneeded()
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        futures::stream::once(async { unneeded() }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        futures::stream::once(async { unneeded() }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        unneeded()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        unneeded()
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;
    use crate::archive::S3Options;
    use crate::lake::Store;

    fn stores() -> (tokio::runtime::Runtime, LakeStores) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let open = Box::new(|place: &str| Ok(Store::local(place)));
        let handle = runtime.handle().clone();
        let site = Site::new("here", open, S3Options::default(), handle, 1);
        (runtime, LakeStores::new(Arc::new(site)))
    }

    #[test]
    fn lakes_alone_are_opened() {
        let (runtime, stores) = stores();
        let folder = tempfile::TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("part"), b"rows").expect("written");
        let url = url(folder.path().to_str().expect("UTF-8")).expect("an address");
        let store = stores.get_store(url.as_ref()).expect("a lake");
        let path = Path::from("part");
        let read = async { store.get(&path).await.expect("opened").bytes().await };
        assert_eq!(runtime.block_on(read).expect("read"), &b"rows"[..]);
        for other in ["file:///etc", "s3://bucket", "lake://2f"] {
            let url = Url::parse(other).expect("an address");
            assert!(stores.get_store(&url).is_err(), "{other}");
        }
    }

    /// Told by what reads, so that it reaches who asked.
    #[test]
    fn another_version_is_refused_and_named() {
        let (runtime, stores) = stores();
        let url = format!("lake://{}.{}", hex(b"/tmp"), hex(b"9.9.9"));
        let url = Url::parse(&url).expect("an address");
        let store = stores.get_store(&url).expect("a lake");
        let read = runtime.block_on(store.get(&Path::from("part")));
        let words = read.expect_err("refused").to_string();
        assert!(words.contains("executor here is dynatrail"), "{words}");
        assert!(words.contains("the client is 9.9.9"), "{words}");
    }
}
