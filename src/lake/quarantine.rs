//! What could not be read, kept with its place and reason: one line of JSON each.

use serde::{Deserialize, Serialize};

use super::hex::hex;

/// How much of a quarantined text is kept, in bytes; CloudTrail's events are not larger.
pub const MAX_TEXT_BYTES: usize = 256 << 10;

/// How much the quarantine of one unit may hold, in bytes; beyond it entries lose their text.
pub const MAX_UNIT_BYTES: usize = 16 << 20;

/// A record that is not in the lake, or a stretch of an object that is no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The source object.
    pub object: String,
    /// The record's position in the object, from 0.
    pub record: u64,
    /// Where the text begins in the inflated object, in bytes.
    pub offset_bytes: u64,
    pub reason: String,
    /// Length of the whole text in bytes, as far as it is known.
    pub length_bytes: u64,
    /// The text, cut at [`MAX_TEXT_BYTES`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// Instead of `text`, where it is not UTF-8: two hexadecimal digits a byte.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hex: Option<String>,
}

impl Quarantined {
    pub fn new(object: &str, record: u64, offset_bytes: u64, reason: String, text: &[u8]) -> Self {
        let kept = &text[..text.len().min(MAX_TEXT_BYTES)];
        let (text_kept, hex) = match std::str::from_utf8(kept) {
            Ok(text) => (Some(text.to_owned()), None),
            // A cut may fall inside a character.
            Err(error) if error.error_len().is_none() => {
                let valid = String::from_utf8_lossy(&kept[..error.valid_up_to()]);
                (Some(valid.into_owned()), None)
            }
            Err(_) => (None, Some(hex(kept))),
        };
        Self {
            object: object.to_owned(),
            record,
            offset_bytes,
            reason,
            length_bytes: text.len() as u64,
            text: text_kept,
            hex,
        }
    }
}

/// Collects a unit's quarantine as lines.
#[derive(Default)]
pub struct QuarantineLines {
    lines: Vec<u8>,
}

impl QuarantineLines {
    pub fn push(&mut self, mut entry: Quarantined) {
        let mut line = serde_json::to_vec(&entry).expect("plain data becomes JSON");
        if self.lines.len() + line.len() > MAX_UNIT_BYTES {
            entry.text = None;
            entry.hex = None;
            line = serde_json::to_vec(&entry).expect("plain data becomes JSON");
        }
        self.lines.append(&mut line);
        self.lines.push(b'\n');
    }

    /// The lines, if there are any.
    pub fn lines(&self) -> Option<&[u8]> {
        (!self.lines.is_empty()).then_some(&self.lines[..])
    }
}
