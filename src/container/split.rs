//! Splits inflated text into JSON values: the elements of `Records` and its relatives, array
//! elements, lines, and values one after another. Damage costs the damaged piece alone.

use super::content::Window;
use super::structure::Scan;

/// The largest value that is looked into, in bytes; CloudTrail events stay below 256 KB.
pub const MAX_VALUE_BYTES: usize = 32 << 20;

/// How much of a damaged or oversized piece is kept as evidence, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 256 << 10;

/// Bytes that telling a wrapper from a record may take.
const LOOKAHEAD_BYTES: usize = 256;

/// Members whose array holds the values: S3 files and SQS (`Records`), LookupEvents (`Events`),
/// FilterLogEvents (`events`), SQS ReceiveMessage (`Messages`).
const WRAPPERS: [&[u8]; 4] = [b"Records", b"Events", b"events", b"Messages"];

/// Members that a record or envelope begins with in what AWS writes; used to find the next one
/// behind damage.
const FIRST_MEMBERS: [&[u8]; 10] = [
    b"\"eventVersion\"",
    b"\"userIdentity\"",
    b"\"eventTime\"",
    b"\"eventID\"",
    b"\"eventSource\"",
    b"\"awsRegion\"",
    b"\"EventId\"",
    b"\"version\"",
    b"\"messageType\"",
    b"\"messageId\"",
];

/// Why a stretch of text is not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitDamage {
    #[error("text that is no JSON object")]
    NotAnObject,
    #[error("the value does not end")]
    Unterminated,
    #[error("the value is larger than {MAX_VALUE_BYTES} bytes")]
    TooLarge,
}

/// A stretch of the text; `offset` is its position in the inflated object, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'w> {
    /// From an opening brace to its closing brace.
    Value {
        text: &'w [u8],
        offset: u64,
        has_backslash: bool,
    },
    Damaged {
        text: &'w [u8],
        offset: u64,
        damage: SplitDamage,
    },
}

/// What the splitter found next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'w> {
    Piece(Piece<'w>),
    /// The window must be filled on, dropping this many bytes.
    NeedMore(usize),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Between top-level values.
    Document,
    /// Inside an array of values.
    Elements(Array),
    /// Behind that array, inside the object around it.
    Tail(Scan),
    /// Inside a value that is too large to keep; `Level` to return to follows.
    Oversized { scan: Scan, array: Option<Array> },
}

/// The array that the values stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Array {
    /// Whether an object stands around it.
    wrapped: bool,
    /// Arrays open inside it; their elements are values too.
    nested: u32,
}

/// Splits one object.
pub struct Splitter {
    level: Level,
    cursor: usize,
    /// Whether text is passed over whose beginning was told in an earlier window.
    passing: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            level: Level::Document,
            cursor: 0,
            passing: false,
        }
    }
}

impl Splitter {
    /// The next piece in the window; `finished` says that nothing follows the window.
    pub fn next<'w>(&mut self, window: &'w Window, finished: bool) -> Step<'w> {
        let bytes = window.bytes();
        loop {
            match self.level {
                Level::Oversized { scan, array } => {
                    if let Some(step) = self.skip_oversized(bytes, finished, scan, array) {
                        return step;
                    }
                    continue;
                }
                Level::Tail(scan) => {
                    if let Some(step) = self.skip_tail(bytes, finished, scan) {
                        return step;
                    }
                    continue;
                }
                Level::Document | Level::Elements(_) => {}
            }
            if self.passing && !self.pass_over(bytes, finished) {
                return self.at_window_end(finished);
            }
            self.skip_separators(window);
            let rest = &bytes[self.cursor..];
            let Some(&first) = rest.first() else {
                return self.at_window_end(finished);
            };
            if rest.len() < LOOKAHEAD_BYTES && !finished {
                return self.need_more();
            }
            match (self.level, first) {
                (Level::Document, b'{') => match wrapper_start(rest) {
                    Some(length) => {
                        self.cursor += length;
                        self.level = Level::Elements(Array::begun(true));
                    }
                    None => return self.value(window, finished),
                },
                (_, b'{') => return self.value(window, finished),
                (Level::Document, b'[') => {
                    self.cursor += 1;
                    self.level = Level::Elements(Array::begun(false));
                }
                (Level::Document, b'0'..=b'9') if log_stamp(rest).is_some() => {
                    self.cursor += log_stamp(rest).unwrap_or(0);
                }
                (Level::Elements(array), b'[') => {
                    self.cursor += 1;
                    self.level = Level::Elements(Array {
                        nested: array.nested + 1,
                        ..array
                    });
                }
                (Level::Elements(array), b']') if array.may_close(rest) => {
                    self.cursor += 1;
                    self.level = array.closed();
                }
                _ => return self.recover(window, finished, SplitDamage::NotAnObject),
            }
        }
    }

    /// Takes back a value that turned out broken, if another record begins inside it: returns
    /// the broken text before that record, where the splitter now stands.
    pub fn resume_inside<'w>(&mut self, window: &'w Window, value: &'w [u8]) -> Option<&'w [u8]> {
        let start = record_start(value, 1)?;
        self.cursor -= value.len() - start;
        debug_assert!(self.cursor <= window.bytes().len());
        Some(&value[..start])
    }

    fn at_window_end<'w>(&self, finished: bool) -> Step<'w> {
        match (finished, self.level) {
            (false, _) => self.need_more(),
            (true, _) => Step::End,
        }
    }

    fn need_more<'w>(&self) -> Step<'w> {
        Step::NeedMore(self.cursor)
    }

    /// The window was filled on: the cursor's byte is its first now.
    pub fn window_moved(&mut self) {
        self.cursor = 0;
    }

    fn skip_separators(&mut self, window: &Window) {
        let bytes = window.bytes();
        if window.offset() == 0 && self.cursor == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            self.cursor = 3;
        }
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',') = bytes.get(self.cursor) {
            self.cursor += 1;
        }
    }

    fn value<'w>(&mut self, window: &'w Window, finished: bool) -> Step<'w> {
        let bytes = window.bytes();
        let start = self.cursor;
        let mut scan = Scan::default();
        match scan.find_end(&bytes[start..]) {
            Some(length) if length <= MAX_VALUE_BYTES => {
                self.cursor += length;
                Step::Piece(Piece::Value {
                    text: &bytes[start..start + length],
                    offset: window.offset() + start as u64,
                    has_backslash: scan.has_backslash,
                })
            }
            Some(length) => {
                self.cursor += length;
                self.damaged(window, start..start + length, SplitDamage::TooLarge)
            }
            None if finished => self.recover(window, finished, SplitDamage::Unterminated),
            None if bytes.len() - start > MAX_VALUE_BYTES => {
                let array = match self.level {
                    Level::Elements(array) => Some(array),
                    _ => None,
                };
                self.level = Level::Oversized { scan, array };
                self.cursor = bytes.len();
                self.damaged(window, start..bytes.len(), SplitDamage::TooLarge)
            }
            None => self.need_more(),
        }
    }

    fn damaged<'w>(
        &self,
        window: &'w Window,
        range: std::ops::Range<usize>,
        damage: SplitDamage,
    ) -> Step<'w> {
        let kept = range.start..range.end.min(range.start + MAX_EVIDENCE_BYTES);
        Step::Piece(Piece::Damaged {
            text: &window.bytes()[kept],
            offset: window.offset() + range.start as u64,
            damage,
        })
    }

    /// Passes over text up to where the next record begins, or to the end.
    fn recover<'w>(&mut self, window: &'w Window, finished: bool, damage: SplitDamage) -> Step<'w> {
        let bytes = window.bytes();
        let start = self.cursor;
        self.cursor += 1;
        self.passing = true;
        self.pass_over(bytes, finished);
        self.damaged(window, start..self.cursor, damage)
    }

    /// Moves to where the next record begins; says whether one does.
    fn pass_over(&mut self, bytes: &[u8], finished: bool) -> bool {
        match record_start(bytes, self.cursor) {
            Some(start) => {
                self.cursor = start;
                self.passing = false;
                true
            }
            None => {
                // The names that tell a record's start may be cut by the window's end.
                let held_back = if finished { 0 } else { LOOKAHEAD_BYTES / 2 };
                self.cursor = self.cursor.max(bytes.len().saturating_sub(held_back));
                false
            }
        }
    }

    fn skip_oversized<'w>(
        &mut self,
        bytes: &'w [u8],
        finished: bool,
        mut scan: Scan,
        array: Option<Array>,
    ) -> Option<Step<'w>> {
        match scan.find_end(&bytes[self.cursor..]) {
            Some(length) => {
                self.cursor += length;
                self.level = array.map_or(Level::Document, Level::Elements);
                None
            }
            None => {
                self.level = Level::Oversized { scan, array };
                self.cursor = bytes.len();
                Some(self.at_window_end(finished))
            }
        }
    }

    fn skip_tail<'w>(
        &mut self,
        bytes: &'w [u8],
        finished: bool,
        mut scan: Scan,
    ) -> Option<Step<'w>> {
        match scan.find_end(&bytes[self.cursor..]) {
            Some(length) => {
                self.cursor += length;
                self.level = Level::Document;
                None
            }
            None => {
                self.level = Level::Tail(scan);
                self.cursor = bytes.len();
                Some(self.at_window_end(finished))
            }
        }
    }
}

impl Array {
    fn begun(wrapped: bool) -> Self {
        Self { wrapped, nested: 0 }
    }

    /// Where a closing bracket leads.
    fn closed(self) -> Level {
        match self {
            Self { nested: 1.., .. } => Level::Elements(Self {
                nested: self.nested - 1,
                ..self
            }),
            Self { wrapped: true, .. } => Level::Tail(Scan::inside_object()),
            Self { wrapped: false, .. } => Level::Document,
        }
    }

    /// Whether the bracket at the start of `rest` can close the array: behind a wrapper's array
    /// comes the wrapper's end or a further member, and anything else is a stray bracket.
    fn may_close(self, rest: &[u8]) -> bool {
        if !self.wrapped || self.nested > 0 {
            return true;
        }
        let behind = skip_space(&rest[1..]);
        match behind.strip_prefix(b",") {
            Some(behind) => skip_space(behind).starts_with(b"\""),
            None => behind.is_empty() || behind.starts_with(b"}"),
        }
    }
}

/// The length of `{"Records":[` or one of its relatives, spaced in any way.
fn wrapper_start(text: &[u8]) -> Option<usize> {
    let rest = skip_space(text.strip_prefix(b"{")?).strip_prefix(b"\"")?;
    let name = WRAPPERS.iter().find(|name| {
        rest.strip_prefix(**name)
            .is_some_and(|rest| rest.starts_with(b"\""))
    })?;
    let rest = skip_space(&rest[name.len() + 1..]).strip_prefix(b":")?;
    let rest = skip_space(rest).strip_prefix(b"[")?;
    Some(text.len() - rest.len())
}

fn skip_space(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// The length of the time stamp that a CloudWatch Logs export writes before each message:
/// `2024-05-01T10:11:12.345Z `.
fn log_stamp(text: &[u8]) -> Option<usize> {
    let space = text.iter().take(40).position(|b| *b == b' ')?;
    let stamp = &text[..space];
    let shaped = stamp.len() >= 20
        && stamp[4] == b'-'
        && stamp[10] == b'T'
        && stamp.ends_with(b"Z")
        && text.get(space + 1) == Some(&b'{');
    shaped.then_some(space + 1)
}

/// Whether another record seems to begin somewhere in a text.
pub fn begins_record(text: &[u8]) -> bool {
    record_start(text, 0).is_some()
}

/// Where the next record begins at or after `from`, by the members that AWS writes first.
fn record_start(text: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'{', text.get(from..)?)
        .map(|at| from + at)
        .find(|at| {
            let inside = skip_space(&text[at + 1..]);
            // Most braces are told by one byte.
            let may_begin = matches!(inside, [b'"', b'e' | b'u' | b'a' | b'E' | b'v' | b'm', ..]);
            may_begin
                && FIRST_MEMBERS
                    .iter()
                    .any(|member| inside.starts_with(member))
        })
}
