//! What a bundle says of itself: `manifest.json`, whose names are stable.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The version of the manifest's names and of the bundle's layout.
pub const SCHEMA: u32 = 1;

/// What a file of a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An object of the archive, byte for byte.
    Object,
    /// A digest of CloudTrail, byte for byte.
    Digest,
    /// The metadata of a digest, among them its signature.
    DigestMetadata,
    Records,
    Rows,
    Statement,
    Report,
    /// About the bundle itself; not listed.
    Bundle,
}

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    pub path: String,
    pub kind: Kind,
    pub size_bytes: u64,
    /// 64 hexadecimal digits, as in SHA256SUMS.
    pub sha256: String,
    /// Where it comes from, for what is of the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// A digest that names an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedBy {
    /// The digest's path in the bundle.
    pub path: String,
    /// SHA-256 of the inflated object, as the digest has it; nothing where it has no such hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_value: Option<String>,
    /// Whether the object in the bundle has it; nothing where there is no object or no hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<bool>,
}

/// An object that rows come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Object {
    pub uri: String,
    /// Its path in the bundle; nothing where it could not be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// As listed when it was converted, in quotes; for objects of S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// gzip, zstd or plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inflated_bytes: Option<u64>,
    /// Of the inflated bytes: what a digest's hashValue is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inflated_sha256: Option<String>,
    /// Records of it that stand in records.ndjson.
    pub records: u64,
    pub digests: Vec<NamedBy>,
}

/// What is missing, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The object, or the event, that it is about.
    pub about: String,
    pub problem: String,
}

impl Problem {
    pub fn new(about: &str, problem: impl Into<String>) -> Self {
        Self {
            about: about.to_owned(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem.contains(&self.about) {
            true => f.write_str(&self.problem),
            false => write!(f, "{}: {}", self.about, self.problem),
        }
    }
}

/// The lake that the rows are of.
#[derive(Debug, Serialize)]
pub struct Lake {
    /// As the user named it.
    pub place: String,
    pub format: u32,
    /// Which events it keeps: `dynamodb`, `all`, or selectors.
    pub selection: String,
}

/// A bundle.
#[derive(Debug, Serialize)]
pub struct Manifest {
    pub schema: u32,
    pub tool: &'static str,
    pub lake: Lake,
    #[serde(serialize_with = "pairs")]
    pub arguments: Vec<(String, String)>,
    /// Rows of `events`.
    pub events: u64,
    pub records: u64,
    /// Digests that the archive has where those of these objects would be, in the bundle or not.
    pub digests_found: u64,
    /// By URI.
    pub objects: Vec<Object>,
    pub problems: Vec<Problem>,
    /// By path; all but this file, README.txt and SHA256SUMS.
    pub files: Vec<File>,
}

/// Arguments as a list of `{"name": value}`: a name may come again.
fn pairs<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pairs.iter().map(|(name, value)| Pair(name, value)))
}

struct Pair<'p>(&'p str, &'p str);

impl Serialize for Pair<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, self.1)?;
        map.end()
    }
}
