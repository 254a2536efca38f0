//! Reads what the name of a digest tells, and says where the files that a digest names lie.

use jiff::{SignedDuration, Timestamp};

use super::result::{Chain, ChainKind};
use crate::archive::{ObjectKey, ObjectKind};

/// How the metadata of a local digest is kept beside it: the output of `head-object`.
pub const SIDECAR_ENDING: &str = ".metadata.json";

const S3_SCHEME: &str = "s3://";
pub const LAYOUT_ROOT: &str = "AWSLogs/";

/// What the name of a digest tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DigestName {
    pub(super) chain: Chain,
    /// The end of its interval, as digestEndTime has it.
    pub(super) end: Timestamp,
}

impl DigestName {
    /// Parses a key, path or URI that ends in
    /// `<account>_CloudTrail-Digest_<region>_<trail>_<home region>_<stamp>[_backfill].json.gz`.
    ///
    /// A trail's name may itself contain `_`: it is what the two ends leave over (AWS CloudTrail
    /// user guide, "CloudTrail digest file structure").
    pub(super) fn parse(key: &str) -> Option<DigestName> {
        let parsed = ObjectKey::parse(key)?;
        if parsed.kind != ObjectKind::Digest {
            return None;
        }
        let stem = parsed.file_name.strip_suffix(".json.gz")?;
        let (stem, kind) = match stem.strip_suffix("_backfill") {
            Some(stem) => (stem, ChainKind::Backfill),
            None => (stem, ChainKind::Standard),
        };
        let (named, _stamp) = stem.rsplit_once('_')?;
        let (named, home_region) = named.rsplit_once('_')?;
        let trail = named.splitn(4, '_').nth(3)?;
        Some(DigestName {
            chain: Chain {
                organization: parsed.organization.map(str::to_owned),
                account: parsed.account.to_owned(),
                region: parsed.region?.to_owned(),
                trail: trail.to_owned(),
                home_region: home_region.to_owned(),
                kind,
            },
            end: parsed.stamp?,
        })
    }
}

/// Says whether a URI is that of a trail's digest, or of a digest's sidecar.
pub fn is_of_trail(uri: &str, trail: &str) -> bool {
    let digest = uri.strip_suffix(SIDECAR_ENDING).unwrap_or(uri);
    DigestName::parse(digest).is_some_and(|name| name.chain.trail == trail)
}

/// What follows the last `/`.
pub(super) fn file_name(key: &str) -> &str {
    &key[key.rfind('/').map_or(0, |slash| slash + 1)..]
}

/// Says whether a digest lies where it says that it was written.
///
/// Of a local copy the bucket is not known, nor how much of the prefix was copied: there the key
/// counts from `AWSLogs/` on, or the file's name alone where the copy has no folders.
pub(super) fn is_in_place(uri: &str, bucket: &str, object: &str) -> bool {
    if let Some(rest) = uri.strip_prefix(S3_SCHEME) {
        return rest.split_once('/') == Some((bucket, object));
    }
    match below_root(uri) {
        Some(key) => below_root(object) == Some(key),
        None => file_name(object) == file_name(uri),
    }
}

/// The URI of a file that the digest at `digest_uri`, written as `digest_object`, names by bucket
/// and key.
///
/// Of a local copy it is the same key below the same root; None for a key that would leave it. A
/// copy that begins below `AWSLogs/` has what its path and the digest's key have in common; a copy
/// without folders has all files side by side.
pub(super) fn uri_of(
    digest_uri: &str,
    digest_object: &str,
    bucket: &str,
    object: &str,
) -> Option<String> {
    if digest_uri.starts_with(S3_SCHEME) {
        return Some(format!("{S3_SCHEME}{bucket}/{object}"));
    }
    let (kept, own) = match below_root(digest_uri) {
        Some(own) => (below_root(object)?, own),
        None => {
            let own = common_tail(digest_uri, digest_object);
            let not_copied = &digest_object[..digest_object.len() - own.len()];
            match object.strip_prefix(not_copied) {
                Some(kept) if !own.is_empty() => (kept, own),
                _ => (file_name(object), file_name(digest_uri)),
            }
        }
    };
    if kept
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        return None;
    }
    let root = &digest_uri[..digest_uri.len() - own.len()];
    Some(format!("{root}{kept}"))
}

/// The longest end of whole components that both have.
fn common_tail<'a>(path: &'a str, key: &str) -> &'a str {
    let mut length = 0;
    for (own, other) in path.rsplit('/').zip(key.rsplit('/')) {
        if own != other {
            break;
        }
        length += own.len() + 1;
    }
    // The first component has no `/` before it.
    let length = length.saturating_sub(1);
    &path[path.len() - length..]
}

/// So much later, as far as time goes: names may tell the last instants of it.
pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// So much earlier, as far as time goes.
pub(super) fn earlier(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// The key from that `AWSLogs/` on which CloudTrail's folders follow.
pub fn below_root(key: &str) -> Option<&str> {
    let rest = &key[ObjectKey::parse(key)?.prefix.len()..];
    rest.starts_with(LAYOUT_ROOT).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str =
        "111122223333_CloudTrail-Digest_eu-west-1_my_trail.a-b_us-east-1_20250102T010031Z";

    #[test]
    fn names_come_apart_from_both_ends() {
        let folder =
            "p/AWSLogs/o-exampleorgid1/111122223333/CloudTrail-Digest/eu-west-1/2025/01/02/";
        let name = DigestName::parse(&format!("s3://b/{folder}{NAME}.json.gz"));
        let name = name.expect("a digest");
        assert_eq!(name.chain.trail, "my_trail.a-b");
        assert_eq!(name.chain.home_region, "us-east-1");
        assert_eq!(name.chain.region, "eu-west-1");
        assert_eq!(name.chain.organization.as_deref(), Some("o-exampleorgid1"));
        assert_eq!(name.chain.kind, ChainKind::Standard);
        assert_eq!(name.end.to_string(), "2025-01-02T01:00:31Z");
        let backfill = DigestName::parse(&format!("{NAME}_backfill.json.gz")).expect("a digest");
        assert_eq!(backfill.chain.kind, ChainKind::Backfill);
        for other in [
            format!("{NAME}.json.gz{SIDECAR_ENDING}"),
            format!("{NAME}.json"),
            "111122223333_CloudTrail-Digest_eu-west-1_20250102T010031Z.json.gz".to_owned(),
            "111122223333_CloudTrail_eu-west-1_20250102T0100Z_x.json.gz".to_owned(),
        ] {
            assert_eq!(DigestName::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn a_copy_may_lie_anywhere_but_files_stay_below_it() {
        let key =
            format!("AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2025/01/02/{NAME}.json.gz");
        let log = "p/AWSLogs/111122223333/CloudTrail/eu-west-1/2025/01/02/x.json.gz";
        let local = format!("/copies/here/{key}");
        assert!(is_in_place(&local, "b", &format!("p/{key}")));
        assert!(!is_in_place(&local, "b", &key.replace("/02/", "/03/")));
        assert!(is_in_place(&format!("s3://b/{key}"), "b", &key));
        assert!(!is_in_place(&format!("s3://c/{key}"), "b", &key));
        assert!(!is_in_place(&format!("s3://b/p/{key}"), "b", &key));
        assert!(is_in_place(&format!("flat/{NAME}.json.gz"), "b", &key));
        assert_eq!(
            uri_of(&local, &key, "b", log).as_deref(),
            Some("/copies/here/AWSLogs/111122223333/CloudTrail/eu-west-1/2025/01/02/x.json.gz")
        );
        assert_eq!(
            uri_of(&format!("flat/{NAME}.json.gz"), &key, "b", log).as_deref(),
            Some("flat/x.json.gz")
        );
        let climbing = "AWSLogs/111122223333/CloudTrail/../../../../etc/passwd";
        assert_eq!(uri_of(&local, &key, "b", climbing), None);
        assert_eq!(uri_of(&local, &key, "b", "x.json.gz"), None);
        // Copied from below AWSLogs/, whatever the folders above are called.
        let logs = "AWSLogs/111122223333/CloudTrail/eu-west-1/2025/01/02/x.json.gz";
        for root in ["x", "/copies/111122223333", "AWSLogs/x"] {
            let copied = key.replacen("AWSLogs/111122223333", root, 1);
            assert!(is_in_place(&copied, "b", &key));
            assert_eq!(
                uri_of(&copied, &key, "b", logs),
                Some(format!("{root}/CloudTrail/eu-west-1/2025/01/02/x.json.gz"))
            );
            assert_eq!(uri_of(&copied, &key, "b", climbing), None);
        }
        assert_eq!(
            uri_of(&format!("s3://b/{key}"), &key, "c", log),
            Some(format!("s3://c/{log}"))
        );
    }
}
