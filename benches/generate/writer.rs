//! Names objects as CloudTrail does, and stores them gzipped.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::record::Record;
use super::time::{Seconds, folder, minute_stamp};

/// The part of an archive that one trail fills for one account and region.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The organization's id, in the keys of an organization trail.
    pub organization: Option<&'static str>,
    pub account: &'static str,
    /// `CloudTrail`, `CloudTrail-Insight`, ….
    pub folder: &'static str,
    pub region: &'static str,
}

impl Place {
    /// The folder of the objects delivered on the day of a moment, with `/` at its end.
    pub fn prefix(&self, delivered: Seconds) -> String {
        let organization = self
            .organization
            .map(|id| format!("{id}/"))
            .unwrap_or_default();
        let (account, name, region) = (self.account, self.folder, self.region);
        format!(
            "AWSLogs/{organization}{account}/{name}/{region}/{}/",
            folder(delivered)
        )
    }

    /// The key of a log object; `unique` is 16 letters and digits without meaning.
    pub fn key(&self, delivered: Seconds, unique: &str) -> String {
        let (account, name, region) = (self.account, self.folder, self.region);
        let stamp = minute_stamp(delivered);
        format!(
            "{}{account}_{name}_{region}_{stamp}_{unique}.json.gz",
            self.prefix(delivered)
        )
    }
}

/// The text of a log object under construction: `{"Records":[…]}` on one line.
pub struct Body {
    text: String,
    pub records: u64,
}

impl Body {
    pub fn new() -> Body {
        Body {
            text: String::from("{\"Records\":["),
            records: 0,
        }
    }

    pub fn push(&mut self, record: &Record) {
        self.separate();
        record.write(&mut self.text);
    }

    /// Appends a record of another shape, as JSON.
    pub fn push_json(&mut self, record: &str) {
        self.separate();
        self.text.push_str(record);
    }

    fn separate(&mut self) {
        if self.records > 0 {
            self.text.push(',');
        }
        self.records += 1;
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub fn finish(mut self) -> String {
        self.text.push_str("]}");
        self.text
    }
}

/// Stores the gzipped text under the root. The gzip header has no time and no name, so the bytes follow from the text.
pub fn store(root: &Path, key: &str, text: &str) -> io::Result<()> {
    let path = root.join(key);
    let parent = path.parent().expect("a key has folders");
    fs::create_dir_all(parent)?;
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::new(6));
    encoder.write_all(text.as_bytes())?;
    fs::write(path, encoder.finish()?)
}
