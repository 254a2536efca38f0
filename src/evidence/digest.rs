//! Finds the CloudTrail digests that name the objects, and those that sign these digests.
//!
//! A digest is delivered about an hour after the logs that it names, below
//! `AWSLogs/[o-…/]<account>/CloudTrail-Digest/<region>/YYYY/MM/DD/`; its signature is metadata of the
//! object, and stands in the next digest of the chain once more (AWS CloudTrail user guide, "CloudTrail
//! digest file structure").

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tokio::runtime::Handle;

use super::EvidenceError;
use super::bundle::Bundle;
use super::manifest::{Kind, NamedBy, Object, Problem};
use crate::archive::{Archive, Kinds, ObjectKey, ObjectKind, ObjectRef, Selection, Source};
use crate::container::{Inflater, Window};
use crate::convert::unit::error_chain;
use crate::integrity::{
    Digest, LAYOUT_ROOT, LogFile, MAX_STORED_BYTES, SIDECAR_ENDING, below_root,
};
use crate::lake::hex::hex;

/// Digests that are looked into at most; two days of one account and region have about fifty a trail.
const MAX_DIGESTS_READ: usize = 20_000;

/// The largest file of metadata that is read; S3 allows 2 KB.
const MAX_METADATA_BYTES: u64 = 64 << 10;

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
        if below_root(uri).is_none() || key.kind == ObjectKind::Unknown {
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
                "{prefix}{LAYOUT_ROOT}{organization}{account}/CloudTrail-Digest/{region}/{day}/"
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

/// Looks through the digests of an archive whose sources are their folders.
pub struct Digests<'d> {
    archive: &'d Archive,
    runtime: &'d Handle,
    objects: &'d mut BTreeMap<String, Object>,
    /// URIs of the objects by their keys from `AWSLogs/` on: copies may lie in several places.
    wanted: BTreeMap<String, Vec<String>>,
    /// Such keys of digests that name an object: the next of their chain is taken too.
    taken: BTreeSet<String>,
    inflater: Inflater,
    window: Window,
}

impl<'d> Digests<'d> {
    pub fn new(
        archive: &'d Archive,
        runtime: &'d Handle,
        objects: &'d mut BTreeMap<String, Object>,
    ) -> Self {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for uri in objects.keys() {
            if let Some(key) = below_root(uri) {
                wanted.entry(key.to_owned()).or_default().push(uri.clone());
            }
        }
        Self {
            wanted,
            archive,
            runtime,
            objects,
            taken: BTreeSet::new(),
            inflater: Inflater::default(),
            window: Window::default(),
        }
    }

    /// Writes the digests below `digests/`, each with its metadata where there are any; returns how
    /// many the archive has where those of the objects would be.
    pub fn gather(
        &mut self,
        bundle: &mut Bundle,
        problems: &mut Vec<Problem>,
    ) -> Result<u64, EvidenceError> {
        let selection = Selection {
            kinds: Kinds::Every,
            ..Selection::everything()
        };
        let listing = self
            .runtime
            .block_on(self.archive.list(&selection, &|_| ()))?;
        for failure in &listing.failures {
            problems.push(Problem::new(&failure.place, error_chain(failure)));
        }
        // In the order of their keys a digest comes before the next one of its chain.
        let objects = listing.objects.into_sorted_vec()?.into_iter();
        let digests = objects.filter(|object| object.kind == ObjectKind::Digest);
        let digests: Vec<ObjectRef> = digests
            .filter(|o| !o.uri.ends_with(SIDECAR_ENDING))
            .collect();
        if digests.len() > MAX_DIGESTS_READ {
            return Err(EvidenceError::TooMany {
                what: "digests to look into",
                found: digests.len() as u64,
                limit: MAX_DIGESTS_READ as u64,
            });
        }
        for digest in &digests {
            self.look(bundle, digest, problems)?;
        }
        if !digests.is_empty() {
            self.tell_unnamed(problems);
        }
        Ok(digests.len() as u64)
    }

    /// An object that somebody put into the archive is in no digest.
    fn tell_unnamed(&self, problems: &mut Vec<Problem>) {
        for object in self.objects.values() {
            if object.digests.is_empty() {
                problems.push(Problem::new(
                    &object.uri,
                    "no digest names the object: CloudTrail did not deliver it, or the digest that \
                     names it is missing or not delivered yet",
                ));
            }
        }
    }

    fn look(
        &mut self,
        bundle: &mut Bundle,
        digest: &ObjectRef,
        problems: &mut Vec<Problem>,
    ) -> Result<(), EvidenceError> {
        if digest.size > MAX_STORED_BYTES {
            let words =
                format!("the digest has more than {MAX_STORED_BYTES} bytes: it is not read");
            problems.push(Problem::new(&digest.uri, words));
            return Ok(());
        }
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
        let file = match Digest::read(&bytes, &mut self.inflater, &mut self.window) {
            Ok(file) => file,
            Err(error) => {
                let words = format!("the digest cannot be read: {}", error_chain(&error));
                problems.push(Problem::new(&digest.uri, words));
                return Ok(());
            }
        };
        let logs = file.log_files.iter();
        let named: Vec<&LogFile> = logs.filter(|log| !self.named_by(log).is_empty()).collect();
        let previous = file.previous.as_ref();
        let previous = previous.and_then(|previous| below_root(&previous.object));
        let is_next = previous.is_some_and(|previous| self.taken.contains(previous));
        if named.is_empty() && !is_next {
            return Ok(());
        }
        let path = bundle.path_for("digests", &digest.uri);
        bundle.copy(&path, (Kind::Digest, &digest.uri), &bytes)?;
        self.copy_metadata(bundle, digest, &path, problems)?;
        if let Some(key) = below_root(&digest.uri).filter(|_| !named.is_empty()) {
            self.taken.insert(key.to_owned());
        }
        for log in named {
            self.compare(log, &path, problems);
        }
        Ok(())
    }

    /// The objects that an entry of a digest stands for.
    fn named_by(&self, log: &LogFile) -> &[String] {
        let uris = below_root(&log.object).and_then(|key| self.wanted.get(key));
        uris.map_or(&[], Vec::as_slice)
    }

    /// Holds what a digest says of an object, and of copies of it, against them.
    fn compare(&mut self, log: &LogFile, path: &str, problems: &mut Vec<Problem>) {
        let hash_value = log.sha256.map(|hash| hex(&hash));
        for uri in self.named_by(log).to_vec() {
            let Some(object) = self.objects.get_mut(&uri) else {
                continue;
            };
            let own = object.inflated_sha256.as_ref();
            let matches = own.zip(hash_value.as_ref()).map(|(own, said)| own == said);
            if matches == Some(false) {
                problems.push(Problem::new(
                    &uri,
                    "the object has been altered: a digest has another hash of it",
                ));
            }
            if hash_value.is_none() {
                problems.push(Problem::new(
                    &uri,
                    "a digest names the object without a SHA-256 of it, and so vouches for nothing",
                ));
            }
            object.digests.push(NamedBy {
                path: path.to_owned(),
                hash_value: hash_value.clone(),
                matches,
            });
        }
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
            let sidecar = format!("{}{SIDECAR_ENDING}", digest.uri);
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
        let path = format!("{path}{SIDECAR_ENDING}");
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
    fn copies_have_the_same_key() {
        for before in [
            "",
            "s3://bucket/",
            "s3://other/a/AWSLogs/b/",
            "/mnt/copies/",
            "copies/",
        ] {
            assert_eq!(below_root(&format!("{before}{LOG}")), Some(LOG));
        }
        assert_eq!(below_root("notes.txt"), None);
    }
}
