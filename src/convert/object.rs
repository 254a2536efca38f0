//! Decodes the objects of a group: bytes in; rows, counts and quarantine out.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::rules::Rules;
use crate::container::{Content, Inflater, Piece, Splitter, Step, Window};
use crate::event::batch::{Rows, RowsBuilder};
use crate::event::decode::Event;
use crate::event::envelope::{self, EnvelopeKind, MAX_ENVELOPES, RecordKind, Shape};
use crate::event::parse::{Hints, Json, Parser};
use crate::event::principal::{Principal, principal};
use crate::event::schema::EventRow;
use crate::event::spelling::minified;
use crate::lake::quarantine::Quarantined;
use crate::lake::receipt::{ObjectStatus, RecordCounts};
use crate::select::Verdict;

/// A window larger than this is given back after its object, in bytes.
const USUAL_WINDOW_BYTES: usize = 64 << 20;

/// After so many events the memory of their rows is looked at.
const EVENTS_A_LOOK: u32 = 256;

/// An object as the decoder sees it.
pub struct Source<'a> {
    pub uri: &'a str,
    /// Whether the key told account and region, so that events need not be asked.
    pub key_is_known: bool,
}

/// What became of an object; duplicates are told from kept events later, in the unit's order.
#[derive(Debug)]
pub struct DecodedObject {
    pub status: ObjectStatus,
    pub problem: Option<String>,
    pub inflated_bytes: u64,
    pub gzip_members: Option<u32>,
    /// Of the inflated bytes, hexadecimal; where all of them were read and were to be hashed.
    pub sha256: Option<String>,
    /// `kept` holds the events with rows.
    pub counts: RecordCounts,
}

/// What became of a group of objects.
pub struct DecodedGroup {
    pub rows: Rows,
    pub objects: Vec<DecodedObject>,
    pub quarantine: Vec<Quarantined>,
    pub not_selected: BTreeMap<&'static str, u64>,
    pub kinds: BTreeMap<&'static str, u64>,
    /// Rows of which something was noticed.
    pub notes: Vec<(u32, &'static str)>,
}

/// The reused buffers of one worker thread.
#[derive(Default)]
pub struct Decoder {
    inflater: Inflater,
    window: Window,
    /// Taken out while a value is read.
    parser: Option<Parser>,
    builder: RowsBuilder,
}

impl Decoder {
    /// Begins a group.
    pub fn group<'d>(&'d mut self, rules: &'d Rules) -> GroupDecoder<'d> {
        GroupDecoder {
            decoder: self,
            rules,
            rows: 0,
            objects: Vec::new(),
            quarantine: Vec::new(),
            not_selected: BTreeMap::new(),
            kinds: BTreeMap::new(),
            notes: Vec::new(),
        }
    }
}

/// Decodes the objects of one group, one after another.
pub struct GroupDecoder<'d> {
    decoder: &'d mut Decoder,
    rules: &'d Rules,
    rows: u32,
    objects: Vec<DecodedObject>,
    quarantine: Vec<Quarantined>,
    not_selected: BTreeMap<&'static str, u64>,
    kinds: BTreeMap<&'static str, u64>,
    notes: Vec<(u32, &'static str)>,
}

/// Where the decoder stands in an object.
struct Place<'s> {
    source: &'s Source<'s>,
    record: u64,
    offset: u64,
    counts: RecordCounts,
    is_digest: bool,
    /// Whether any JSON object was found.
    has_values: bool,
    /// Memory of the rows of the objects before it in the group.
    kept_bytes_before: usize,
    /// Of the bytes inflated so far.
    hash: Option<Sha256>,
}

/// A `userIdentity` that rows have already.
#[derive(Clone, Copy)]
struct KnownIdentity<'t> {
    text: &'t str,
    /// Where it begins in the record.
    start: usize,
    principal: u32,
}

/// What a parsed value asks for next.
enum Next {
    Done,
    Open(Vec<String>),
    Quarantine(String),
}

/// Why the whole of a value is quarantined.
struct Refused {
    reason: String,
    /// Whether it is not even JSON.
    is_broken: bool,
}

impl GroupDecoder<'_> {
    /// Takes on an object that could not be read.
    pub fn failed(&mut self, status: ObjectStatus, problem: String) {
        self.objects.push(DecodedObject {
            status,
            problem: Some(problem),
            inflated_bytes: 0,
            gzip_members: None,
            sha256: None,
            counts: RecordCounts::default(),
        });
    }

    /// Decodes an object from its bytes.
    pub fn object(&mut self, source: &Source<'_>, bytes: &[u8]) {
        let mut window = std::mem::take(&mut self.decoder.window);
        let mut content = Content::open(bytes, &mut window);
        let mut place = self.place(source);
        let quarantined_before = self.quarantine.len();
        self.pieces(&mut content, &mut window, &mut place);
        window.shrink(USUAL_WINDOW_BYTES);
        self.decoder.window = window;

        let (status, problem) = if !place.has_values && content.damage().is_none() {
            // Nothing of it is JSON: the object is named once instead of each of its lines.
            let beginning = self.quarantine.drain(quarantined_before..).next();
            place.counts = RecordCounts::default();
            (ObjectStatus::NotALog, Some(not_a_log(bytes, beginning)))
        } else if let Some(damage) = content.damage() {
            (ObjectStatus::Damaged, Some(damage.to_string()))
        } else if place.is_digest {
            (ObjectStatus::Digest, None)
        } else {
            (ObjectStatus::Converted, None)
        };
        self.objects.push(DecodedObject {
            status,
            problem,
            inflated_bytes: content.inflated_bytes(),
            gzip_members: Some(content.gzip_members()).filter(|members| *members > 1),
            sha256: place
                .hash
                .filter(|_| content.damage().is_none())
                .map(|hash| format!("{:x}", hash.finalize())),
            counts: place.counts,
        });
    }

    /// Decodes one record by its text, as it stands at this position of an object.
    pub fn record_at(&mut self, source: &Source<'_>, position: u64, text: &[u8]) {
        let mut place = self.place(source);
        place.record = position;
        if let Err(refused) = self.value(&mut place, (text, true), 0) {
            self.quarantine(&mut place, refused.reason, text);
        }
    }

    /// The beginning of an object.
    fn place<'s>(&self, source: &'s Source<'s>) -> Place<'s> {
        Place {
            source,
            record: 0,
            offset: 0,
            counts: RecordCounts::default(),
            is_digest: false,
            has_values: false,
            kept_bytes_before: self.decoder.builder.needed_bytes(),
            hash: self.rules.hashes.then(Sha256::new),
        }
    }

    /// The decoded group; the decoder is ready for another.
    pub fn finish(self) -> DecodedGroup {
        DecodedGroup {
            rows: self.decoder.builder.finish(),
            objects: self.objects,
            quarantine: self.quarantine,
            not_selected: self.not_selected,
            kinds: self.kinds,
            notes: self.notes,
        }
    }

    fn pieces(&mut self, content: &mut Content<'_>, window: &mut Window, place: &mut Place<'_>) {
        let mut splitter = Splitter::default();
        loop {
            match splitter.next(window, content.is_finished()) {
                Step::End => return,
                Step::NeedMore(used) => {
                    let known_bytes = window.bytes().len() - used;
                    content.fill(&mut self.decoder.inflater, window, used);
                    if let Some(hash) = &mut place.hash {
                        hash.update(&window.bytes()[known_bytes..]);
                    }
                    splitter.window_moved();
                }
                Step::Piece(Piece::Value {
                    text,
                    offset,
                    has_backslash,
                }) => {
                    place.has_values = true;
                    place.offset = offset;
                    if self.rules.keep.rules_out(text, has_backslash) {
                        self.not_selected(place, "event_source");
                        continue;
                    }
                    if let Err(refused) = self.value(place, (text, has_backslash), 0) {
                        // A record that lacks an end swallows those behind it: they are found
                        // again, and only what stands before them is quarantined.
                        let resumed = match refused.is_broken {
                            true => splitter.resume_inside(window, text),
                            false => None,
                        };
                        self.quarantine(place, refused.reason, resumed.unwrap_or(text));
                    }
                    if self.keeps_too_much(place) {
                        return content.leave_rest(self.rules.max_kept_bytes);
                    }
                }
                Step::Piece(Piece::Damaged {
                    text,
                    offset,
                    damage,
                }) => {
                    place.offset = offset;
                    place.has_values |= text.first() == Some(&b'{');
                    self.quarantine(place, damage.to_string(), text);
                }
            }
        }
    }

    fn keeps_too_much(&self, place: &Place<'_>) -> bool {
        let kept_bytes = || self.decoder.builder.needed_bytes() - place.kept_bytes_before;
        self.rows.is_multiple_of(EVENTS_A_LOOK) && kept_bytes() > self.rules.max_kept_bytes
    }

    /// Decodes a value: a record, or an envelope around records.
    fn value(
        &mut self,
        place: &mut Place<'_>,
        (text, has_backslash): (&[u8], bool),
        depth: usize,
    ) -> Result<(), Refused> {
        let mut parser = self.decoder.parser.take().unwrap_or_default();
        let minified = minified(text);
        let text = minified.as_deref().unwrap_or(text);
        let known = self.known_identity(text);
        let hints = Hints {
            known_object: known.map(|known| known.start..known.start + known.text.len()),
            has_no_backslash: !has_backslash,
        };
        let parsed = parser.parse_but(text, hints, |value| self.shaped(place, value, known));
        self.decoder.parser = Some(parser);
        match parsed {
            Ok(Next::Done) => Ok(()),
            Ok(Next::Quarantine(reason)) => Err(Refused {
                reason,
                is_broken: false,
            }),
            Ok(Next::Open(_)) if depth == MAX_ENVELOPES => Err(Refused {
                reason: format!("more than {MAX_ENVELOPES} envelopes around a record"),
                is_broken: false,
            }),
            Ok(Next::Open(inner)) => {
                for text in inner {
                    self.enclosed(place, text.trim(), depth + 1);
                }
                Ok(())
            }
            Err(error) => Err(Refused {
                reason: error.to_string(),
                is_broken: true,
            }),
        }
    }

    /// Decodes what stands inside an envelope; a list there holds values in turn.
    fn enclosed(&mut self, place: &mut Place<'_>, text: &str, depth: usize) {
        let elements = if text.starts_with('[') {
            let parser = self.decoder.parser.get_or_insert_default();
            let texts = parser.parse(text.as_bytes(), |list| {
                list.elements().map(|e| e.raw().to_owned()).collect()
            });
            texts.unwrap_or_else(|_| vec![text.to_owned()])
        } else {
            vec![text.to_owned()]
        };
        for element in elements {
            if let Err(refused) = self.value(place, (element.as_bytes(), true), depth) {
                self.quarantine(place, refused.reason, element.as_bytes());
            }
        }
    }

    /// The `userIdentity` of a record, if rows have the same already: programs repeat theirs in
    /// every call, and it is the largest part of most records.
    fn known_identity<'t>(&self, text: &'t [u8]) -> Option<KnownIdentity<'t>> {
        if self.rules.keep.reads_user_identity() {
            return None;
        }
        let range = envelope::user_identity_range(text)?;
        let start = range.start;
        let text = std::str::from_utf8(&text[range]).ok()?;
        if !text.starts_with('{') {
            return None;
        }
        let principal = self.decoder.builder.known_principal(text)?;
        Some(KnownIdentity {
            text,
            start,
            principal,
        })
    }

    fn shaped(
        &mut self,
        place: &mut Place<'_>,
        value: Json<'_>,
        known: Option<KnownIdentity<'_>>,
    ) -> Next {
        match envelope::shape(value) {
            Shape::Record { kind, source } => {
                match self.record(place, value, (kind, source), known) {
                    Ok(()) => Next::Done,
                    Err(reason) => Next::Quarantine(reason),
                }
            }
            Shape::Envelope(kind, texts) => {
                if kind != EnvelopeKind::Wrapper {
                    *self.kinds.entry(kind.as_str()).or_default() += 1;
                }
                Next::Open(texts.into_iter().map(|text| text.into_owned()).collect())
            }
            Shape::Digest => {
                place.is_digest = true;
                Next::Done
            }
            Shape::Unknown => Next::Quarantine("not a CloudTrail record".to_owned()),
        }
    }

    /// Decodes a record and appends its rows, if it is wanted.
    fn record(
        &mut self,
        place: &mut Place<'_>,
        record: Json<'_>,
        (kind, source): (RecordKind, Option<&str>),
        known: Option<KnownIdentity<'_>>,
    ) -> Result<(), String> {
        if kind != RecordKind::Api {
            *self.kinds.entry(kind.as_str()).or_default() += 1;
        }
        if matches!(kind, RecordKind::Insight | RecordKind::Aggregated) {
            self.not_selected(place, kind.as_str());
            return Ok(());
        }
        if !self.rules.keep.may_keep_source(source) {
            self.not_selected(place, "event_source");
            return Ok(());
        }
        let mut event = Event::decode(record).map_err(|error| error.to_string())?;
        if let Some(reason) = self.filtered_out(place, &event) {
            self.not_selected(place, reason);
            return Ok(());
        }
        let selection = match self.rules.keep.verdict(&event, kind) {
            Verdict::Yes => "selected",
            Verdict::Uncertain(reason) => {
                event.notes.push(reason.as_str());
                "uncertain"
            }
            Verdict::No => {
                self.not_selected(place, "selectors");
                return Ok(());
            }
        };
        // A second userIdentity in the record would be the one that counts.
        let identity_text = event.user_identity.map(Json::raw);
        let known = known.filter(|known| identity_text == Some(known.text));
        let known_principal = known.map(|known| known.principal);
        let known_account = known_principal
            .and_then(|principal| self.decoder.builder.account_of(principal))
            .map(str::to_owned);
        event.normalise(match known_principal {
            Some(_) => Principal {
                account_id: known_account.as_deref(),
                ..Principal::default()
            },
            None => principal(event.user_identity),
        });
        event.notes.sort_unstable();
        event.notes.dedup();
        let notes = event.notes.join(",");
        self.decoder.builder.push(&EventRow {
            event: &event,
            known_principal,
            selection,
            notes: (!notes.is_empty()).then_some(&notes),
            source: place.source.uri,
            source_position: place.record as i64,
        });
        self.notes
            .extend(event.notes.iter().map(|note| (self.rows, *note)));
        self.rows += 1;
        place.counts.seen += 1;
        place.counts.kept += 1;
        place.record += 1;
        Ok(())
    }

    /// Why the run's filter leaves an event out.
    fn filtered_out(&self, place: &Place<'_>, event: &Event<'_>) -> Option<&'static str> {
        let filter = &self.rules.filter;
        if !filter.window.contains(event.event_time_ms) {
            return Some("event_time");
        }
        if place.source.key_is_known {
            return None;
        }
        let left_out = |wanted: &[String], name: Option<&str>| {
            !wanted.is_empty() && !name.is_some_and(|name| wanted.iter().any(|w| w == name))
        };
        if left_out(&filter.accounts, event.recipient_account_id) {
            return Some("account");
        }
        left_out(&filter.regions, event.aws_region).then_some("region")
    }

    fn not_selected(&mut self, place: &mut Place<'_>, reason: &'static str) {
        *self.not_selected.entry(reason).or_default() += 1;
        place.counts.seen += 1;
        place.counts.not_selected += 1;
        place.record += 1;
    }

    fn quarantine(&mut self, place: &mut Place<'_>, reason: String, text: &[u8]) {
        self.quarantine.push(Quarantined::new(
            place.source.uri,
            place.record,
            place.offset,
            reason,
            text,
        ));
        place.counts.seen += 1;
        place.counts.quarantined += 1;
        place.record += 1;
    }
}

/// What an object is that holds no JSON at all.
fn not_a_log(bytes: &[u8], beginning: Option<Quarantined>) -> String {
    if bytes.is_empty() {
        return "the object is empty".to_owned();
    }
    let text = beginning.and_then(|entry| entry.text).unwrap_or_default();
    let start: String = text.chars().take(40).collect();
    format!("not a CloudTrail log: no JSON object in it; it begins with {start:?}")
}
