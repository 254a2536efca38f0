//! Finds the CloudTrail digests that name the objects, and those that sign these digests.
//!
//! A digest is delivered about an hour after the logs that it names, below
//! `AWSLogs/[o-…/]<account>/CloudTrail-Digest/<region>/YYYY/MM/DD/`; its signature is metadata of the
//! object, and stands in the next digest of the chain once more (AWS CloudTrail user guide, "CloudTrail
//! digest file structure").

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use tokio::runtime::Handle;

use super::EvidenceError;
use super::bundle::Bundle;
use super::manifest::{Kind, NamedBy, Object, Problem};
use crate::archive::{Archive, Kinds, ObjectKey, ObjectKind, ObjectRef, Selection, Source};
use crate::container::{Content, Inflater, Window};
use crate::convert::unit::error_chain;

/// Digests that are looked into at most; two days of one account and region have about fifty a trail.
const MAX_DIGESTS_READ: usize = 20_000;

/// The ending of the file beside a digest that keeps its metadata.
const METADATA_ENDING: &str = ".metadata.json";

/// The largest file of metadata that is read; S3 allows 2 KB.
const MAX_METADATA_BYTES: u64 = 64 << 10;

const ROOT: &str = "AWSLogs/";

/// What a digest says, as far as it is looked at here.
#[derive(Debug, Deserialize)]
struct DigestFile {
    #[serde(rename = "previousDigestS3Object", default)]
    previous: Option<String>,
    #[serde(rename = "logFiles", default)]
    logs: Vec<LogFile>,
}

#[derive(Debug, Deserialize)]
struct LogFile {
    #[serde(rename = "s3Object")]
    object: String,
    #[serde(rename = "hashValue")]
    hash_value: String,
}

/// The folders in which the digests of these objects would stand: the day of delivery and the next.
pub fn folders<'u>(uris: impl Iterator<Item = &'u String>) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for uri in uris {
        let Some(key) = ObjectKey::parse(uri) else {
            continue;
        };
        let (Some(region), Some(date)) = (key.region, key.date) else {
            continue;
        };
        if !tail(uri).starts_with(ROOT) || key.kind == ObjectKind::Unknown {
            continue;
        }
        let organization = match key.organization {
            Some(organization) => format!("{organization}/"),
            None => String::new(),
        };
        let (prefix, account) = (key.prefix, key.account);
        for day in [Ok(date), date.tomorrow()].into_iter().flatten() {
            let day = day.strftime("%Y/%m/%d");
            folders.insert(format!(
                "{prefix}{ROOT}{organization}{account}/CloudTrail-Digest/{region}/{day}/"
            ));
        }
    }
    folders
}

/// The folders as sources of an archive; local ones only where they are.
pub fn sources(folders: &BTreeSet<String>) -> Vec<Source> {
    let there = folders
        .iter()
        .filter(|folder| folder.starts_with("s3://") || Path::new(folder).is_dir());
    there
        .filter_map(|folder| Source::parse(folder).ok())
        .collect()
}

/// A key without what a trail's prefix, a bucket or a folder of copies puts before it.
fn tail(key: &str) -> &str {
    match ObjectKey::parse(key) {
        Some(parsed) => &key[parsed.prefix.len()..],
        None => key,
    }
}

/// Looks through the digests of an archive whose sources are their folders.
pub struct Digests<'d> {
    archive: &'d Archive,
    runtime: &'d Handle,
    objects: &'d mut BTreeMap<String, Object>,
    /// URIs of the objects by the tail of their key.
    wanted: BTreeMap<String, String>,
    /// The tails of digests that name an object: the next of their chain is taken too.
    taken: BTreeSet<String>,
    inflater: Inflater,
}

impl<'d> Digests<'d> {
    pub fn new(
        archive: &'d Archive,
        runtime: &'d Handle,
        objects: &'d mut BTreeMap<String, Object>,
    ) -> Self {
        let wanted = objects
            .keys()
            .map(|uri| (tail(uri).to_owned(), uri.clone()));
        Self {
            wanted: wanted.collect(),
            archive,
            runtime,
            objects,
            taken: BTreeSet::new(),
            inflater: Inflater::default(),
        }
    }

    /// Writes the digests below `digests/`, each with its metadata where there are any.
    pub fn gather(
        &mut self,
        bundle: &mut Bundle,
        problems: &mut Vec<Problem>,
    ) -> Result<(), EvidenceError> {
        let selection = Selection {
            kinds: Kinds::Every,
            ..Selection::everything()
        };
        let listing = self
            .runtime
            .block_on(self.archive.list(&selection, &|_| ()));
        for failure in &listing.failures {
            problems.push(Problem::new(&failure.place, error_chain(failure)));
        }
        // In the order of their keys a digest comes before the next one of its chain.
        let digests = listing.objects.iter();
        let digests = digests.filter(|object| object.kind == ObjectKind::Digest);
        let digests: Vec<&ObjectRef> = digests
            .filter(|o| !o.uri.ends_with(METADATA_ENDING))
            .collect();
        if digests.len() > MAX_DIGESTS_READ {
            return Err(EvidenceError::TooMany {
                what: "digests to look into",
                found: digests.len() as u64,
                limit: MAX_DIGESTS_READ as u64,
            });
        }
        for digest in digests {
            self.look(bundle, digest, problems)?;
        }
        Ok(())
    }

    fn look(
        &mut self,
        bundle: &mut Bundle,
        digest: &ObjectRef,
        problems: &mut Vec<Problem>,
    ) -> Result<(), EvidenceError> {
        let fetched = self
            .archive
            .fetch(&digest.uri, digest.size, digest.etag.as_deref());
        let bytes = match self.runtime.block_on(fetched) {
            Ok(bytes) => bytes,
            Err(error) => {
                problems.push(Problem::new(&digest.uri, error_chain(&error)));
                return Ok(());
            }
        };
        let Some(file) = self.parse(&bytes) else {
            problems.push(Problem::new(&digest.uri, "the digest cannot be read"));
            return Ok(());
        };
        let named: Vec<&LogFile> = file
            .logs
            .iter()
            .filter(|log| self.wanted.contains_key(tail(&log.object)))
            .collect();
        let previous = file.previous.as_deref().map(tail);
        let is_next = previous.is_some_and(|previous| self.taken.contains(previous));
        if named.is_empty() && !is_next {
            return Ok(());
        }
        let path = bundle.path_for("digests", &digest.uri);
        bundle.copy(&path, (Kind::Digest, &digest.uri), &bytes)?;
        self.copy_metadata(bundle, digest, &path, problems)?;
        if !named.is_empty() {
            self.taken.insert(tail(&digest.uri).to_owned());
        }
        for log in named {
            self.compare(log, &path, problems);
        }
        Ok(())
    }

    fn parse(&mut self, bytes: &[u8]) -> Option<DigestFile> {
        let mut window = Window::default();
        let mut content = Content::open(bytes, &mut window);
        content.fill(&mut self.inflater, &mut window, 0);
        // A digest that does not fit the window is none.
        if !content.is_finished() || content.damage().is_some() {
            return None;
        }
        serde_json::from_slice(window.bytes()).ok()
    }

    /// Holds what a digest says of an object against the object.
    fn compare(&mut self, log: &LogFile, path: &str, problems: &mut Vec<Problem>) {
        let uri = self.wanted.get(tail(&log.object));
        let Some(object) = uri.and_then(|uri| self.objects.get_mut(uri)) else {
            return;
        };
        let own = object.inflated_sha256.as_deref();
        let matches = own.map(|own| own.eq_ignore_ascii_case(&log.hash_value));
        if matches == Some(false) {
            problems.push(Problem::new(
                &object.uri,
                "the object has been altered: a digest has another hash of it",
            ));
        }
        object.digests.push(NamedBy {
            path: path.to_owned(),
            hash_value: log.hash_value.clone(),
            matches,
        });
    }

    /// Writes the metadata of a digest beside it: as S3 has them, or as a copy has kept them.
    fn copy_metadata(
        &self,
        bundle: &mut Bundle,
        digest: &ObjectRef,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Result<(), EvidenceError> {
        let text = if self.archive.is_remote(&digest.uri) {
            match self
                .runtime
                .block_on(self.archive.user_metadata(&digest.uri))
            {
                Ok(metadata) => {
                    let sidecar = serde_json::json!({ "Metadata": metadata });
                    format!("{sidecar:#}\n").into_bytes()
                }
                Err(error) => {
                    problems.push(Problem::new(&digest.uri, error_chain(&error)));
                    return Ok(());
                }
            }
        } else {
            let sidecar = format!("{}{METADATA_ENDING}", digest.uri);
            match std::fs::metadata(&sidecar) {
                Ok(found) if found.len() <= MAX_METADATA_BYTES => {
                    let mut text = Vec::new();
                    let read = self.archive.read_local(&sidecar, found.len(), &mut text);
                    if let Err(error) = read {
                        problems.push(Problem::new(&sidecar, error_chain(&error)));
                        return Ok(());
                    }
                    text
                }
                // A plain copy has none: the next digest of the chain has the signature.
                _ => return Ok(()),
            }
        };
        let path = format!("{path}{METADATA_ENDING}");
        bundle.copy(&path, (Kind::DigestMetadata, &digest.uri), &text)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "AWSLogs/o-exampleorg1/111122223333/CloudTrail/us-east-1/2025/02/28/111122223333_CloudTrail_us-east-1_20250228T2355Z_Zk3uHxWbq0aPt7Ls.json.gz";

    #[test]
    fn digests_are_looked_for_on_two_days() {
        let uris = [
            format!("s3://bucket/trail/{LOG}"),
            format!("s3://bucket/trail/{LOG}"),
            "s3://bucket/flat/111122223333_CloudTrail_us-east-1_20250228T2355Z_x.json.gz"
                .to_owned(),
            "logs/export.json".to_owned(),
        ];
        let folder =
            "s3://bucket/trail/AWSLogs/o-exampleorg1/111122223333/CloudTrail-Digest/us-east-1";
        let expected = [
            format!("{folder}/2025/02/28/"),
            format!("{folder}/2025/03/01/"),
        ];
        assert_eq!(folders(uris.iter()), BTreeSet::from(expected));
    }

    #[test]
    fn copies_have_the_same_tail() {
        for before in [
            "",
            "s3://bucket/",
            "s3://other/a/AWSLogs/b/",
            "/mnt/copies/",
            "copies/",
        ] {
            assert_eq!(tail(&format!("{before}{LOG}")), LOG);
        }
        assert_eq!(tail("notes.txt"), "notes.txt");
    }
}
