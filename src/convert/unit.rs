//! Runs one unit: its objects in order, on all cores, into parts and a receipt.
//!
//! Groups of objects are fetched ahead, decoded in parallel and taken on in their order, so that
//! the bytes written depend on the unit alone. What is ahead is bounded in groups and in bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime::Handle;

use super::ConvertError;
use super::crew::Crew;
use super::object::{DecodedGroup, DecodedObject, Decoder, Source};
use super::objects::write_objects;
use super::rules::Rules;
use crate::archive::{Archive, FetchError, ObjectKey, ObjectKind};
use crate::event::batch::Rows;
use crate::lake::quarantine::QuarantineLines;
use crate::lake::receipt::{ObjectReceipt, ObjectStatus, RecordCounts, Tally};
use crate::lake::{FORMAT, PlannedObject, PlannedUnit, Receipt, Store, UnitWriter, state};

/// Objects are handed over in groups of about this many compressed bytes: small objects must not
/// cost a task each.
const GROUP_BYTES: u64 = 512 << 10;

/// Most objects of a group.
const GROUP_OBJECTS: usize = 256;

/// Compressed bytes of a unit fetched ahead from S3; of the unit behind it as many.
const FETCH_AHEAD_BYTES: u64 = 24 << 20;

/// Objects of a group that are fetched at once.
const FETCHES_OF_GROUP: usize = 32;

/// Groups fetched ahead from S3, whatever their bytes.
const FETCH_AHEAD_GROUPS: usize = 64;

/// Groups being decoded or waiting to be taken on, for each thread.
const DECODE_AHEAD_GROUPS: usize = 2;

thread_local! {
    static WORKER: std::cell::RefCell<Worker> = std::cell::RefCell::default();
}

/// What a thread that decodes uses again and again.
#[derive(Default)]
struct Worker {
    decoder: Decoder,
    /// Local objects are read into it.
    buffer: Vec<u8>,
}

/// Counters that a progress display reads while units run.
#[derive(Default)]
pub struct Progress {
    pub objects: AtomicU64,
    pub compressed_bytes: AtomicU64,
    pub inflated_bytes: AtomicU64,
    pub events: AtomicU64,
    /// Of a run whose units others convert; none otherwise.
    pub units_planned: AtomicU64,
    pub units_done: AtomicU64,
    /// Set to end the run after the groups at hand.
    pub interrupted: Arc<AtomicBool>,
}

impl Progress {
    /// Counts what another machine has converted.
    pub fn count(&self, receipt: &Receipt) {
        let add = |counter: &AtomicU64, of: fn(&ObjectReceipt) -> u64| {
            counter.fetch_add(receipt.objects.iter().map(of).sum(), Ordering::Relaxed);
        };
        add(&self.objects, |_| 1);
        add(&self.compressed_bytes, |object| object.object.size_bytes);
        add(&self.inflated_bytes, |object| object.inflated_bytes);
        add(&self.events, |object| object.counts.kept);
    }
}

/// What units run with.
#[derive(Clone)]
pub struct Workshop {
    pub archive: Arc<Archive>,
    /// Who runs them.
    pub crew: Arc<dyn Crew>,
    pub rules: Arc<Rules>,
    pub runtime: Handle,
    pub progress: Arc<Progress>,
    /// Units that the threads have at once: each has its share of what is decoded ahead.
    pub units_at_once: usize,
}

impl Workshop {
    /// The same with other rules.
    pub fn with_rules(&self, rules: Rules) -> Self {
        Self {
            rules: Arc::new(rules),
            ..self.clone()
        }
    }
}

type Fetched = Vec<Result<Bytes, FetchError>>;

/// What reaches the thread that takes groups on.
enum Message {
    Fetched(usize, Fetched),
    Decoded(usize, Box<DecodedGroup>),
}

/// When a unit is worked on beside the one before it and the one behind. Nothing is sent on the
/// channels: that one ends is the sign, so that a unit which fails gives it too.
pub struct Turn {
    /// Ends when the unit before has begun to decode all of its groups.
    may_decode: Receiver<()>,
    /// Ended when all groups are being fetched.
    fetching: Option<Sender<()>>,
    /// Ended when all groups are being decoded.
    decoding: Option<Sender<()>>,
}

impl Turn {
    /// A turn that waits for no other unit.
    pub fn alone() -> Self {
        let (_, may_decode) = mpsc::channel();
        Self::after(may_decode).0
    }

    /// A turn, with what ends when all of it is being fetched, and being decoded.
    pub fn after(may_decode: Receiver<()>) -> (Self, Receiver<()>, Receiver<()>) {
        let (fetching, all_fetching) = mpsc::channel();
        let (decoding, all_decoding) = mpsc::channel();
        let turn = Self {
            may_decode,
            fetching: Some(fetching),
            decoding: Some(decoding),
        };
        (turn, all_fetching, all_decoding)
    }
}

/// Converts a unit; its receipt is stored when its parts are, unless `accept` refuses what became of
/// its objects.
pub fn convert_unit(
    workshop: &Workshop,
    store: &Store,
    unit: &PlannedUnit,
    turn: Turn,
    accept: &mut dyn FnMut(&[DecodedObject]) -> Result<(), ConvertError>,
) -> Result<Receipt, ConvertError> {
    let mut writer = UnitWriter::new(store, &unit.unit);
    let mut ledger = Ledger::default();
    let groups = groups(&unit.objects);
    Pipeline::new(workshop, &unit.objects, &groups).run(turn, |group| {
        let kept = writer.push(group.rows)?;
        ledger.take(&kept, group.objects, group.notes);
        for entry in group.quarantine {
            ledger.quarantine.push(entry);
        }
        for (reason, count) in group.not_selected {
            *ledger.not_selected.entry(reason.to_owned()).or_default() += count;
        }
        for (kind, count) in group.kinds {
            *ledger.kinds.entry(kind.to_owned()).or_default() += count;
        }
        Ok(())
    })?;
    accept(&ledger.objects)?;
    let mut parts = writer.finish()?;
    let quarantine = match ledger.quarantine.lines() {
        Some(lines) => Some(state::write_quarantine(store, &unit.unit, lines)?),
        None => None,
    };
    let mut counts = RecordCounts::default();
    let mut objects = Vec::with_capacity(unit.objects.len());
    for (object, decoded) in unit.objects.iter().zip(ledger.objects) {
        counts.add(&decoded.counts);
        objects.push(ObjectReceipt {
            object: object.clone(),
            status: decoded.status,
            problem: decoded.problem,
            inflated_bytes: decoded.inflated_bytes,
            gzip_members: decoded.gzip_members,
            sha256: decoded.sha256,
            counts: decoded.counts,
        });
    }
    parts.push(write_objects(store, &unit.unit, &objects)?);
    let receipt = Receipt {
        format: FORMAT,
        unit: unit.unit.clone(),
        filter: workshop.rules.filter.clone(),
        counts,
        not_selected: ledger.not_selected,
        notes: ledger.notes,
        kinds: ledger.kinds,
        parts,
        quarantine,
        objects,
    };
    state::write_receipt(store, &receipt)?;
    Ok(receipt)
}

/// What is counted while a unit's groups are taken on.
#[derive(Default)]
struct Ledger {
    objects: Vec<DecodedObject>,
    quarantine: QuarantineLines,
    not_selected: Tally,
    kinds: Tally,
    notes: Tally,
}

impl Ledger {
    /// Books a group's objects, with the duplicates that the writer found among their rows.
    fn take(&mut self, kept: &[bool], objects: Vec<DecodedObject>, notes: Vec<(u32, &str)>) {
        let mut rows = kept.iter();
        for mut object in objects {
            let own = rows.by_ref().take(object.counts.kept as usize);
            let duplicates = own.filter(|kept| !**kept).count() as u64;
            object.counts.kept -= duplicates;
            object.counts.duplicate += duplicates;
            self.objects.push(object);
        }
        for (row, note) in notes {
            if kept[row as usize] {
                *self.notes.entry(note.to_owned()).or_default() += 1;
            }
        }
    }
}

/// Cuts a unit's objects into groups: ranges of their indices.
fn groups(objects: &[PlannedObject]) -> Vec<std::ops::Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, object) in objects.iter().enumerate() {
        let is_full = bytes + object.size_bytes > GROUP_BYTES || index - start >= GROUP_OBJECTS;
        if is_full && index > start {
            groups.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += object.size_bytes;
    }
    if start < objects.len() {
        groups.push(start..objects.len());
    }
    groups
}

/// Fetches and decodes groups ahead of the one that is taken on next.
struct Pipeline<'u> {
    workshop: &'u Workshop,
    objects: &'u [PlannedObject],
    groups: &'u [std::ops::Range<usize>],
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    /// Groups asked for, groups whose decoding began, groups taken on.
    asked: usize,
    begun: usize,
    taken: usize,
    fetched_ahead_bytes: u64,
    fetched: BTreeMap<usize, Fetched>,
    decoded: BTreeMap<usize, Box<DecodedGroup>>,
}

impl<'u> Pipeline<'u> {
    fn new(
        workshop: &'u Workshop,
        objects: &'u [PlannedObject],
        groups: &'u [std::ops::Range<usize>],
    ) -> Self {
        let (sender, receiver) = mpsc::channel();
        Self {
            workshop,
            objects,
            groups,
            sender,
            receiver,
            asked: 0,
            begun: 0,
            taken: 0,
            fetched_ahead_bytes: 0,
            fetched: BTreeMap::new(),
            decoded: BTreeMap::new(),
        }
    }

    /// Hands every group to `take` in order.
    fn run(
        mut self,
        mut turn: Turn,
        mut take: impl FnMut(DecodedGroup) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError> {
        self.ask_ahead();
        self.give(&mut turn);
        let _ = turn.may_decode.recv();
        while self.taken < self.groups.len() {
            if self.workshop.progress.interrupted.load(Ordering::Relaxed) {
                return Err(ConvertError::Interrupted);
            }
            self.ask_ahead();
            self.begin_ahead();
            self.give(&mut turn);
            match self
                .receiver
                .recv()
                .expect("the pipeline holds a sender itself")
            {
                Message::Fetched(group, bytes) => {
                    self.fetched.insert(group, bytes);
                }
                Message::Decoded(group, decoded) => {
                    self.decoded.insert(group, decoded);
                }
            }
            while let Some(decoded) = self.decoded.remove(&self.taken) {
                self.taken += 1;
                self.begin_ahead();
                self.give(&mut turn);
                take(*decoded)?;
            }
        }
        Ok(())
    }

    /// Lets the unit behind go on as far as this one has come.
    fn give(&self, turn: &mut Turn) {
        if self.asked == self.groups.len() {
            turn.fetching = None;
        }
        if self.begun == self.groups.len() {
            turn.decoding = None;
        }
    }

    fn is_remote(&self, group: usize) -> bool {
        let first = &self.objects[self.groups[group].start];
        self.workshop.archive.is_remote(&first.uri)
    }

    fn group_bytes(&self, group: usize) -> u64 {
        self.objects[self.groups[group].clone()]
            .iter()
            .map(|object| object.size_bytes)
            .sum()
    }

    /// Asks for groups from S3 as far as the budget reaches; one larger than it goes alone.
    fn ask_ahead(&mut self) {
        while self.asked < self.groups.len() {
            let bytes = self.group_bytes(self.asked);
            let ahead = self.asked - self.begun;
            let is_within =
                self.fetched_ahead_bytes + bytes <= FETCH_AHEAD_BYTES && ahead < FETCH_AHEAD_GROUPS;
            if ahead > 0 && !is_within {
                return;
            }
            if self.is_remote(self.asked) {
                self.fetched_ahead_bytes += bytes;
                self.fetch(self.asked);
            }
            self.asked += 1;
        }
    }

    fn fetch(&self, group: usize) {
        let objects = self.objects[self.groups[group].clone()].to_vec();
        let archive = self.workshop.archive.clone();
        let sender = self.sender.clone();
        self.workshop.runtime.spawn(async move {
            let fetches = objects.into_iter().map(|object| {
                let archive = archive.clone();
                async move {
                    let etag = object.etag.as_deref();
                    archive.fetch(&object.uri, object.size_bytes, etag).await
                }
            });
            let fetched = futures::stream::iter(fetches)
                .buffered(FETCHES_OF_GROUP)
                .collect()
                .await;
            // An interrupted run no longer listens.
            let _ = sender.send(Message::Fetched(group, fetched));
        });
    }

    /// Begins decoding groups whose bytes are at hand, in order, within the window.
    fn begin_ahead(&mut self) {
        let window = rayon::current_num_threads() * DECODE_AHEAD_GROUPS;
        let window = (window / self.workshop.units_at_once).max(DECODE_AHEAD_GROUPS);
        while self.begun < self.asked && self.begun < self.taken + window {
            let group = self.begun;
            let fetched = if self.is_remote(group) {
                let Some(fetched) = self.fetched.remove(&group) else {
                    return;
                };
                self.fetched_ahead_bytes -= self.group_bytes(group);
                Some(fetched)
            } else {
                None
            };
            self.begun += 1;
            let objects = self.objects[self.groups[group].clone()].to_vec();
            let workshop = self.workshop.clone();
            let sender = self.sender.clone();
            rayon::spawn(move || {
                let decoded = WORKER
                    .with_borrow_mut(|worker| decode_group(&workshop, worker, &objects, fetched));
                let _ = sender.send(Message::Decoded(group, Box::new(decoded)));
            });
        }
    }
}

/// Decodes a group, reading its objects first where they are local.
fn decode_group(
    workshop: &Workshop,
    worker: &mut Worker,
    objects: &[PlannedObject],
    fetched: Option<Fetched>,
) -> DecodedGroup {
    let Worker { decoder, buffer } = worker;
    let mut group = decoder.group(&workshop.rules);
    let mut fetched = fetched.map(Vec::into_iter);
    for object in objects {
        let outcome = match &mut fetched {
            Some(fetched) => fetched
                .next()
                .expect("every object of the group was asked for")
                .map(Some),
            None => workshop
                .archive
                .read_local(&object.uri, object.size_bytes, buffer)
                .map(|()| None),
        };
        let source = Source {
            uri: &object.uri,
            key_is_known: key_is_known(&object.uri),
        };
        match outcome {
            Ok(bytes) => group.object(&source, bytes.as_deref().unwrap_or(buffer)),
            Err(FetchError::Gone { .. }) => {
                group.failed(ObjectStatus::Gone, "deleted since it was listed".to_owned());
            }
            Err(error) => group.failed(ObjectStatus::Failed, error_chain(&error)),
        }
    }
    let decoded = group.finish();
    count_progress(workshop, objects, &decoded);
    decoded
}

/// Whether an object's key tells the account and region of its events.
fn key_is_known(uri: &str) -> bool {
    ObjectKey::parse(uri).is_some_and(|key| key.kind != ObjectKind::Unknown && key.region.is_some())
}

fn count_progress(workshop: &Workshop, objects: &[PlannedObject], decoded: &DecodedGroup) {
    let progress = &workshop.progress;
    let compressed: u64 = objects.iter().map(|object| object.size_bytes).sum();
    let inflated: u64 = decoded
        .objects
        .iter()
        .map(|object| object.inflated_bytes)
        .sum();
    let Rows { keys, .. } = &decoded.rows;
    progress
        .objects
        .fetch_add(objects.len() as u64, Ordering::Relaxed);
    progress
        .compressed_bytes
        .fetch_add(compressed, Ordering::Relaxed);
    progress
        .inflated_bytes
        .fetch_add(inflated, Ordering::Relaxed);
    progress
        .events
        .fetch_add(keys.len() as u64, Ordering::Relaxed);
}

/// An error with its causes, in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
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
