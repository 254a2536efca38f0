//! Brings digests to hand: fetched or read, inflated, parsed, and their signatures tried.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use rayon::prelude::*;
use serde::Deserialize;

use super::digest::{Digest, MAX_STORED_BYTES, parse_hex};
use super::keys::{Keys, Needed};
use super::name::{SIDECAR_ENDING, file_name};
use super::result::Chain;
use super::rsa::RsaKey;
use crate::archive::{Archive, FetchError, WithMetadata};
use crate::container::{Inflater, Window};

/// Digests that are fetched at once.
const FETCHES_IN_FLIGHT: usize = 64;

/// The most bytes of a sidecar: S3 keeps 2 KB of user metadata.
const MAX_SIDECAR_BYTES: u64 = 64 << 10;

/// Characters of an error that are kept: it may quote what stands in a file.
const MAX_PROBLEM_CHARS: usize = 300;

/// Memory that a thread keeps for the next object.
const KEPT_WINDOW_BYTES: usize = 8 << 20;

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// What a thread uses again and again.
#[derive(Default)]
pub(super) struct Worker {
    pub(super) inflater: Inflater,
    pub(super) window: Window,
    /// Local files are read into it.
    pub(super) buffer: Vec<u8>,
}

/// Lends the thread's worker to a task.
pub(super) fn with_worker<T>(task: impl FnOnce(&mut Worker) -> T) -> T {
    WORKER.with_borrow_mut(|worker| {
        let outcome = task(worker);
        worker.window.shrink(KEPT_WINDOW_BYTES);
        worker.buffer.clear();
        worker.buffer.shrink_to(KEPT_WINDOW_BYTES);
        outcome
    })
}

/// A digest to be brought to hand.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) uri: String,
    pub(super) chain: Chain,
    pub(super) end: Timestamp,
    /// Whether the output of `head-object` lies beside it.
    pub(super) has_sidecar: bool,
}

/// A digest at hand, or why it is not.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) wanted: Wanted,
    pub(super) content: Result<Digest, Unreadable>,
    pub(super) metadata: Metadata,
    /// Signatures that were tried with the digest's key, and whether they hold.
    tried: Vec<(String, bool)>,
}

/// Why there is no content.
#[derive(Clone, Debug)]
pub(super) enum Unreadable {
    NotFound,
    Format(String),
    Failed(String),
}

/// What S3 keeps beside a digest.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) signature: Option<String>,
    #[serde(rename = "signature-algorithm")]
    pub(super) algorithm: Option<String>,
    #[serde(rename = "backfill-generation-timestamp")]
    pub(super) generated: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sidecar {
    metadata: Metadata,
}

/// What came over the network; None for what is read later, on a thread that may block.
pub(super) type Fetched = Option<Result<WithMetadata, FetchError>>;

/// Fetches the digests that lie in S3, in order.
pub(super) async fn fetch(archive: Arc<Archive>, wanted: Vec<Wanted>) -> Vec<(Wanted, Fetched)> {
    let fetches = wanted.into_iter().map(|wanted| {
        let archive = archive.clone();
        async move {
            let fetched = match archive.is_remote(&wanted.uri) {
                true => Some(
                    archive
                        .fetch_with_metadata(&wanted.uri, MAX_STORED_BYTES)
                        .await,
                ),
                false => None,
            };
            (wanted, fetched)
        }
    });
    futures::stream::iter(fetches)
        .buffered(FETCHES_IN_FLIGHT)
        .collect()
        .await
}

/// Parses digests, gets their keys, and tries the signatures that are at hand for them.
pub(super) fn load(
    archive: &Archive,
    keys: &mut Keys,
    fetched: Vec<(Wanted, Fetched)>,
) -> Vec<Loaded> {
    let read = fetched.into_par_iter().map(|(wanted, fetched)| {
        with_worker(|worker| match fetched {
            Some(fetched) => from_remote(wanted, fetched, worker),
            None => from_local(archive, wanted, worker),
        })
    });
    let read: Vec<(Loaded, Option<String>)> = read.collect();
    let mut loaded = Vec::with_capacity(read.len());
    for (digest, warning) in read {
        if let Some(warning) = warning {
            keys.warn(warning);
        }
        if let Ok(content) = &digest.content {
            keys.ensure(Needed {
                region: &digest.wanted.chain.region,
                fingerprint: &content.fingerprint,
                kind: digest.wanted.chain.kind,
                end: digest.wanted.end,
                generated: digest
                    .metadata
                    .generated
                    .as_deref()
                    .and_then(|text| text.parse().ok()),
            });
        }
        loaded.push(digest);
    }
    try_signatures(&mut loaded, keys);
    loaded
}

fn from_remote(
    wanted: Wanted,
    fetched: Result<WithMetadata, FetchError>,
    worker: &mut Worker,
) -> (Loaded, Option<String>) {
    let (content, metadata) = match fetched {
        Ok(object) => {
            let member = |name: &str| object.metadata.get(name).cloned();
            let metadata = Metadata {
                signature: member("signature"),
                algorithm: member("signature-algorithm"),
                generated: member("backfill-generation-timestamp"),
            };
            (parse(&object.bytes, worker), metadata)
        }
        Err(error) => (Err(Unreadable::from(error)), Metadata::default()),
    };
    (Loaded::new(wanted, content, metadata), None)
}

fn from_local(archive: &Archive, wanted: Wanted, worker: &mut Worker) -> (Loaded, Option<String>) {
    let mut buffer = std::mem::take(&mut worker.buffer);
    let content = match archive.read_local_as_it_is(&wanted.uri, MAX_STORED_BYTES, &mut buffer) {
        Ok(()) => parse(&buffer, worker),
        Err(error) => Err(Unreadable::from(error)),
    };
    let (metadata, warning) = match wanted.has_sidecar {
        true => sidecar(
            archive,
            &format!("{}{SIDECAR_ENDING}", wanted.uri),
            &mut buffer,
        ),
        false => (Metadata::default(), None),
    };
    worker.buffer = buffer;
    (Loaded::new(wanted, content, metadata), warning)
}

/// Reads saved metadata; a sidecar that is none leaves the digest without a signature.
fn sidecar(archive: &Archive, uri: &str, buffer: &mut Vec<u8>) -> (Metadata, Option<String>) {
    let problem = match archive.read_local_as_it_is(uri, MAX_SIDECAR_BYTES, buffer) {
        Ok(()) => match serde_json::from_slice::<Sidecar>(buffer) {
            Ok(sidecar) => return (sidecar.metadata, None),
            Err(error) => {
                let error: String = error.to_string().chars().take(MAX_PROBLEM_CHARS).collect();
                format!("{uri} is not the output of head-object: {error}")
            }
        },
        Err(error) => error.to_string(),
    };
    (Metadata::default(), Some(problem))
}

fn parse(bytes: &[u8], worker: &mut Worker) -> Result<Digest, Unreadable> {
    Digest::read(bytes, &mut worker.inflater, &mut worker.window).map_err(|error| {
        let problem = error.to_string();
        Unreadable::Format(problem.chars().take(MAX_PROBLEM_CHARS).collect())
    })
}

impl From<FetchError> for Unreadable {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Gone { .. } => Self::NotFound,
            FetchError::TooLarge { .. } => Self::Format(error.to_string()),
            error => Self::Failed(chain_of(&error)),
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let message = source.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = source.source();
    }
    text
}

/// Tries, on all cores, the signature that each digest brings, or else those that others of the
/// same window have of it.
fn try_signatures(loaded: &mut [Loaded], keys: &Keys) {
    let mut claimed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for digest in loaded.iter() {
        if let Ok(content) = &digest.content
            && let Some(previous) = &content.previous
        {
            claimed
                .entry(file_name(&previous.object).to_owned())
                .or_default()
                .push(previous.signature.clone());
        }
    }
    loaded.par_iter_mut().for_each(|digest| {
        let Some(key) = digest.key(keys) else { return };
        let signatures = match &digest.metadata.signature {
            Some(own) => vec![own.clone()],
            None => claimed
                .get(file_name(&digest.wanted.uri))
                .cloned()
                .unwrap_or_default(),
        };
        for signature in signatures {
            let holds = digest.verifies(key, &signature);
            digest.tried.push((signature, holds));
        }
    });
}

impl Loaded {
    fn new(wanted: Wanted, content: Result<Digest, Unreadable>, metadata: Metadata) -> Self {
        Self {
            wanted,
            content,
            metadata,
            tried: Vec::new(),
        }
    }

    fn key<'k>(&self, keys: &'k Keys) -> Option<&'k RsaKey> {
        let content = self.content.as_ref().ok()?;
        keys.get(&content.fingerprint)?.rsa.as_ref()
    }

    fn verifies(&self, key: &RsaKey, signature: &str) -> bool {
        let Ok(content) = &self.content else {
            return false;
        };
        parse_hex(signature)
            .is_some_and(|signature| key.verifies(content.signed_text.as_bytes(), &signature))
    }

    /// Says whether a signature (hexadecimal) of this digest holds.
    pub(super) fn holds(&self, signature: &str, keys: &Keys) -> bool {
        match self.tried.iter().find(|(tried, _)| tried == signature) {
            Some((_, holds)) => *holds,
            None => self
                .key(keys)
                .is_some_and(|key| self.verifies(key, signature)),
        }
    }
}
