//! Lists the objects of an archive, says which can hold wanted events, and fetches their bytes.

mod error;
mod key;
mod local;
mod objects;
mod s3;
mod s3_list;
mod selection;
mod user_metadata;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use bytes::Bytes;
use jiff::civil::Date;
use tokio::sync::{Mutex, OnceCell};

pub use error::{BoxError, FetchError, ListError, ListFailure, ListingError, Refusal, SourceError};
pub use key::{Folder, ObjectKey, ObjectKind, is_account};
pub use local::LocalPath;
pub use objects::Objects;
pub use s3::{S3Options, aws_config, bucket_region};
pub use selection::{
    DEFAULT_LATE_DAYS, InstantError, Kinds, OutOfSelection, Selection, parse_since, parse_until,
};

use s3::{Bucket, Wanted};

/// The most bytes that an object may have as it is stored; CloudTrail's own are below 50 MB inflated.
pub const MAX_OBJECT_BYTES: u64 = 1 << 30;

const S3_SCHEME: &str = "s3://";

/// Where objects are looked for, as the user named it.
#[derive(Clone, Debug)]
pub enum Source {
    /// A folder, a file or a pattern of file names.
    Local(LocalPath),
    /// `s3://bucket/prefix`; the prefix may be at any depth of the layout, or a whole key.
    S3 { bucket: String, prefix: String },
}

impl Source {
    /// Parses `s3://bucket/prefix`, a path, or a pattern such as `logs/2025-*/**/*.gz`.
    pub fn parse(text: &str) -> Result<Source, SourceError> {
        if text.is_empty() {
            return Err(SourceError::Empty);
        }
        if let Some(rest) = text.strip_prefix(S3_SCHEME) {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(SourceError::NoBucket {
                    text: text.to_owned(),
                });
            }
            return Ok(Source::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            });
        }
        if text.contains("://") {
            return Err(SourceError::UnknownScheme {
                text: text.to_owned(),
            });
        }
        LocalPath::parse(text).map(Source::Local)
    }
}

/// One object of a listing. There can be millions, so it is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// `s3://bucket/key`, or the path as the user gave it and what was found below it.
    pub uri: Box<str>,
    /// The stored size in bytes.
    pub size: u64,
    /// The entity tag with its quotes, for objects in S3.
    pub etag: Option<Box<str>>,
    pub kind: ObjectKind,
    /// The UTC date of publication, where the name tells it.
    pub date: Option<Date>,
}

impl ObjectRef {
    /// What the name tells beyond kind and date; parsed anew at each call.
    pub fn key(&self) -> Option<ObjectKey<'_>> {
        ObjectKey::parse(&self.uri)
    }
}

/// The bytes of an object, with what S3 keeps beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithMetadata {
    pub bytes: Bytes,
    /// The user metadata by name, lower case and without `x-amz-meta-`; none for a local file.
    pub metadata: BTreeMap<String, String>,
}

/// What the sources hold. `listed` = objects + the sum of `out_of_selection`.
#[derive(Debug, Default)]
pub struct Listing {
    /// Each once, by date and URI.
    pub objects: Objects,
    /// How many objects were seen.
    pub listed: u64,
    /// How many of them are not wanted, by reason.
    pub out_of_selection: BTreeMap<&'static str, u64>,
    /// How many whole folders were not looked into, by reason; what they hold is not in `listed`.
    pub pruned_folders: BTreeMap<&'static str, u64>,
    /// The places that could not be listed, sorted by name.
    pub failures: Vec<ListFailure>,
}

impl Listing {
    /// Takes one object, or counts why not.
    pub fn admit(&mut self, selection: &Selection, mut object: ObjectRef) {
        self.listed += 1;
        if let Some(key) = ObjectKey::parse(&object.uri) {
            if let Err(reason) = selection.admits(&key) {
                return self.count(reason);
            }
            (object.kind, object.date) = (key.kind, key.date);
        } else if selection.kinds == Kinds::Digests {
            return self.count(OutOfSelection::NoDigest);
        }
        self.objects.push(object);
    }

    fn leave_out(&mut self, reason: OutOfSelection) {
        self.listed += 1;
        self.count(reason);
    }

    fn count(&mut self, reason: OutOfSelection) {
        *self.out_of_selection.entry(reason.name()).or_default() += 1;
    }

    fn prune(&mut self, reason: OutOfSelection) {
        *self.pruned_folders.entry(reason.name()).or_default() += 1;
    }

    fn fail(&mut self, place: String, error: ListError) {
        tracing::warn!(place, %error, "cannot list");
        self.failures.push(ListFailure { place, error });
    }

    /// Sorts, and takes out what two sources both listed.
    ///
    /// Fails if what memory has no room for cannot be kept in a temporary file.
    pub fn finish(&mut self) -> Result<(), ListingError> {
        for _ in 0..self.objects.finish()? {
            self.count(OutOfSelection::ListedTwice);
        }
        self.failures
            .sort_by(|left, right| left.place.cmp(&right.place));
        Ok(())
    }
}

/// The sources, and a client for each bucket that was asked for.
#[derive(Debug)]
pub struct Archive {
    sources: Vec<Source>,
    options: S3Options,
    config: OnceCell<SdkConfig>,
    buckets: Mutex<BTreeMap<String, Arc<Bucket>>>,
}

impl Archive {
    /// Takes the sources; AWS credentials are looked for when something in S3 is asked for.
    pub fn open(sources: Vec<Source>, options: S3Options) -> Archive {
        Archive {
            sources,
            options,
            config: OnceCell::new(),
            buckets: Mutex::default(),
        }
    }

    /// Takes the sources with a configuration that is already loaded.
    pub fn open_with(sources: Vec<Source>, options: S3Options, config: SdkConfig) -> Archive {
        Archive {
            config: OnceCell::new_with(Some(config)),
            ..Archive::open(sources, options)
        }
    }

    /// Lists all sources; `progress` is told now and then how many objects were seen.
    ///
    /// A place that cannot be listed is named among the failures and the rest goes on. Fails if what
    /// memory has no room for cannot be kept in a temporary file.
    pub async fn list(
        &self,
        selection: &Selection,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Listing, ListingError> {
        let mut listing = Listing::default();
        let mut seen = local::Seen::default();
        for source in &self.sources {
            match source {
                Source::Local(path) => {
                    local::list(path, selection, &mut seen, &mut listing, progress);
                }
                Source::S3 { bucket, prefix } => {
                    let bucket = self.bucket(bucket).await;
                    s3_list::list(&bucket, prefix, selection, &mut listing, progress).await;
                }
            }
        }
        listing.finish()?;
        progress(listing.listed);
        Ok(listing)
    }

    /// Says whether an object is fetched over the network; the others are for [`Archive::read_local`].
    pub fn is_remote(&self, uri: &str) -> bool {
        uri.starts_with(S3_SCHEME)
    }

    /// Fetches the bytes of an object as it was listed, now or by an earlier run; retries what can be
    /// retried. `etag` is what the listing gave.
    ///
    /// A local file is read too, but this blocks: better use [`Archive::read_local`] on a thread that may.
    pub async fn fetch(
        &self,
        uri: &str,
        size: u64,
        etag: Option<&str>,
    ) -> Result<Bytes, FetchError> {
        let Some(rest) = uri.strip_prefix(S3_SCHEME) else {
            let mut buffer = Vec::new();
            self.read_local(uri, size, &mut buffer)?;
            return Ok(buffer.into());
        };
        check_size(uri, size, MAX_OBJECT_BYTES)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = self.bucket(bucket).await;
        bucket
            .fetch(Wanted {
                uri,
                key,
                size: Some(size),
                etag,
                limit: MAX_OBJECT_BYTES,
            })
            .await
            .map(|object| object.bytes)
    }

    /// Fetches an object as it is now, with its user metadata, whether or not it was listed.
    ///
    /// Refuses one of more than `limit` bytes. A local file is read too, and has no metadata.
    pub async fn fetch_with_metadata(
        &self,
        uri: &str,
        limit: u64,
    ) -> Result<WithMetadata, FetchError> {
        let limit = limit.min(MAX_OBJECT_BYTES);
        let Some(rest) = uri.strip_prefix(S3_SCHEME) else {
            let mut buffer = Vec::new();
            self.read_local_as_it_is(uri, limit, &mut buffer)?;
            return Ok(WithMetadata {
                bytes: buffer.into(),
                metadata: BTreeMap::new(),
            });
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = self.bucket(bucket).await;
        bucket
            .fetch(Wanted {
                uri,
                key,
                size: None,
                etag: None,
                limit,
            })
            .await
    }

    /// Reads a listed file of `size` bytes into `buffer`, whose memory is used again.
    pub fn read_local(&self, uri: &str, size: u64, buffer: &mut Vec<u8>) -> Result<(), FetchError> {
        local::read(uri, size, buffer)
    }

    /// Reads a file whatever its size, up to `limit` bytes, whether or not it was listed.
    pub fn read_local_as_it_is(
        &self,
        uri: &str,
        limit: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        local::read_as_it_is(uri, limit, buffer)
    }

    /// The client of a bucket, made at its first use.
    async fn bucket(&self, name: &str) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().await;
        if let Some(bucket) = buckets.get(name) {
            return bucket.clone();
        }
        let config = self.config.get_or_init(|| aws_config(&self.options)).await;
        let bucket = Arc::new(Bucket::open(name, &self.options, config).await);
        buckets.insert(name.to_owned(), bucket.clone());
        bucket
    }
}

fn check_size(uri: &str, size: u64, limit: u64) -> Result<(), FetchError> {
    if size > limit {
        return Err(FetchError::TooLarge {
            uri: uri.to_owned(),
            size,
            limit,
        });
    }
    Ok(())
}
