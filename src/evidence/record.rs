//! Finds the records of an object by their positions, as they stand in it.
//!
//! Positions count as converting does: every record, every stretch that is quarantined, and every
//! value that is passed over by its text, which may be an envelope around several records.

use std::io;

use sha2::{Digest, Sha256};

use crate::container::content::WINDOW_BYTES;
use crate::container::{Content, Inflater, Piece, Splitter, Step, Window};
use crate::convert::keep::Keep;
use crate::event::envelope::{MAX_ENVELOPES, Shape, shape};
use crate::event::parse::Parser;
use crate::event::spelling::minified;
use crate::lake::hex::hex;

/// A record, where it stands.
pub struct Found<'t> {
    pub position: u64,
    /// None where it has none, or no text.
    pub event_id: Option<&'t str>,
    /// The record as it stands; one inside a string of an envelope without that string's escapes.
    pub text: &'t [u8],
    /// Where the top-level value that is or holds it begins in the inflated object, in bytes.
    pub offset: u64,
    pub length: u64,
    /// Whether that value is an envelope around it.
    pub is_enclosed: bool,
}

/// What an object is, told in the same pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inflated {
    pub encoding: &'static str,
    pub bytes: u64,
    /// Of all that inflates, in hexadecimal digits.
    pub sha256: String,
    /// What is wrong with the encoding.
    pub damage: Option<String>,
    /// How many positions there are.
    pub positions: u64,
}

/// Reused buffers.
#[derive(Default)]
pub struct Reader {
    inflater: Inflater,
    window: Window,
    parser: Parser,
}

/// What a value is, with nothing borrowed from it.
enum Told {
    Record(Option<String>),
    Open(Vec<String>),
    Digest,
    Other,
}

/// One walk through an object.
struct Walk<'w> {
    parser: &'w mut Parser,
    found: &'w mut dyn FnMut(&Found<'_>) -> io::Result<()>,
    position: u64,
    offset: u64,
    length: u64,
}

impl Reader {
    /// Calls `found` for every record of an object, in order of positions, and hashes what it inflates to.
    ///
    /// `keep` must be what the object was converted with. Fails only where `found` does.
    pub fn read(
        &mut self,
        bytes: &[u8],
        keep: &Keep,
        found: &mut dyn FnMut(&Found<'_>) -> io::Result<()>,
    ) -> io::Result<Inflated> {
        let window = &mut self.window;
        let mut content = Content::open(bytes, window);
        let mut hash = Sha256::new();
        let mut splitter = Splitter::default();
        let mut walk = Walk {
            parser: &mut self.parser,
            found,
            position: 0,
            offset: 0,
            length: 0,
        };
        loop {
            match splitter.next(window, content.is_finished()) {
                Step::End => break,
                Step::NeedMore(used) => {
                    let before = content.inflated_bytes();
                    content.fill(&mut self.inflater, window, used);
                    let fresh = (content.inflated_bytes() - before) as usize;
                    hash.update(&window.bytes()[window.bytes().len() - fresh..]);
                    splitter.window_moved();
                }
                Step::Piece(Piece::Damaged { .. }) => walk.position += 1,
                Step::Piece(Piece::Value {
                    text,
                    offset,
                    has_backslash,
                }) => {
                    if keep.rules_out(text, has_backslash) {
                        walk.position += 1;
                        continue;
                    }
                    (walk.offset, walk.length) = (offset, text.len() as u64);
                    if !walk.value(text, 0)? {
                        splitter.resume_inside(window, text);
                    }
                }
            }
        }
        window.shrink(WINDOW_BYTES);
        Ok(Inflated {
            encoding: content.encoding().as_str(),
            bytes: content.inflated_bytes(),
            sha256: hex(&hash.finalize()),
            damage: content.damage().map(ToString::to_string),
            positions: walk.position,
        })
    }
}

impl Walk<'_> {
    /// Looks at a value; false if it is not even JSON.
    fn value(&mut self, text: &[u8], depth: usize) -> io::Result<bool> {
        let respelled = minified(text);
        let told = self
            .parser
            .parse(respelled.as_deref().unwrap_or(text), |value| {
                match shape(value) {
                    Shape::Record { .. } => {
                        let id = value.get("eventID").and_then(|id| id.as_str());
                        Told::Record(id.map(str::to_owned))
                    }
                    Shape::Envelope(_, texts) => {
                        Told::Open(texts.into_iter().map(|text| text.into_owned()).collect())
                    }
                    Shape::Digest => Told::Digest,
                    Shape::Unknown => Told::Other,
                }
            });
        let Ok(told) = told else {
            self.position += 1;
            return Ok(false);
        };
        match told {
            Told::Record(id) => self.tell(id.as_deref(), text, depth)?,
            Told::Open(inner) if depth < MAX_ENVELOPES => {
                for text in inner {
                    self.enclosed(text.trim(), depth + 1)?;
                }
            }
            Told::Open(_) | Told::Other => self.position += 1,
            Told::Digest => {}
        }
        Ok(true)
    }

    /// Looks at what stands inside an envelope; a list there holds values in turn.
    fn enclosed(&mut self, text: &str, depth: usize) -> io::Result<()> {
        let mut elements = vec![text.to_owned()];
        if text.starts_with('[') {
            let texts = self.parser.parse(text.as_bytes(), |list| {
                list.elements().map(|e| e.raw().to_owned()).collect()
            });
            elements = texts.unwrap_or(elements);
        }
        for element in elements {
            self.value(element.as_bytes(), depth)?;
        }
        Ok(())
    }

    fn tell(&mut self, event_id: Option<&str>, text: &[u8], depth: usize) -> io::Result<()> {
        (self.found)(&Found {
            position: self.position,
            event_id,
            text,
            offset: self.offset,
            length: self.length,
            is_enclosed: depth > 0,
        })?;
        self.position += 1;
        Ok(())
    }
}
