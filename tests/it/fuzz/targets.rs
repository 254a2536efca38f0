//! What is fuzzed: each target takes bytes of any kind and asserts what must be true of them.
//!
//! The same functions run under the loop of `fuzz.rs` and under libFuzzer (`tests/fuzz`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;

use dynatrail::archive::{Folder, ObjectKey, ObjectKind};
use dynatrail::container::content::WINDOW_BYTES;
use dynatrail::container::split::MAX_VALUE_BYTES;
use dynatrail::container::{Content, Encoding, Inflater, Piece, Splitter, Step, Window};
use dynatrail::convert::keep::Keep;
use dynatrail::convert::object::{DecodedGroup, Decoder, Source};
use dynatrail::convert::rules::{MAX_KEPT_BYTES, Rules};
use dynatrail::event::column::Value as Cell;
use dynatrail::event::schema::{Cell as Kind, Events, Of, Table};
use dynatrail::event::time::canonical_event_time;
use dynatrail::evidence::name::path_of;
use dynatrail::evidence::record::Reader;
use dynatrail::integrity::Digest;
use dynatrail::lake::ObjectStatus;
use dynatrail::lake::receipt::EventFilter;
use dynatrail::select::{Facts, ResourceFact, Selectors, Verdict};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::json::{Json, top_values, units};

/// A target panics where something is not true.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 5] = [
    ("container", container),
    ("decode", decode),
    ("digest", digest),
    ("key", key),
    ("selectors", selectors),
];

/// Inflating more than this is no use here.
const MAX_INPUT_BYTES: usize = 1 << 20;

/// What the splitter finds of one object.
#[derive(Debug, PartialEq, Eq)]
struct Split {
    /// Offset and text of each value, in order.
    values: Vec<(u64, Vec<u8>)>,
    /// Offset and length of each damaged stretch, as far as it is shown.
    damaged: Vec<(u64, usize)>,
    inflated_bytes: u64,
    is_sound: bool,
}

/// Splits an object as the converter does, in buffers that are used again.
fn split(bytes: &[u8]) -> Split {
    BUFFERS.with_borrow_mut(|(inflater, window)| split_in(inflater, window, bytes))
}

fn split_in(inflater: &mut Inflater, window: &mut Window, bytes: &[u8]) -> Split {
    let mut content = Content::open(bytes, window);
    let mut splitter = Splitter::default();
    let mut found = Split {
        values: Vec::new(),
        damaged: Vec::new(),
        inflated_bytes: 0,
        is_sound: true,
    };
    let mut end = 0;
    loop {
        let (offset, length) = match splitter.next(window, content.is_finished()) {
            Step::End => break,
            Step::NeedMore(used) => {
                content.fill(inflater, window, used);
                splitter.window_moved();
                // What is held is a step and the value that is not whole yet.
                assert!(window.bytes().len() <= 2 * WINDOW_BYTES + MAX_VALUE_BYTES);
                continue;
            }
            Step::Piece(Piece::Value {
                text,
                offset,
                has_backslash,
            }) => {
                assert_eq!((text[0], text[text.len() - 1]), (b'{', b'}'));
                // Wrongly "yes" costs time alone.
                assert!(has_backslash || !text.contains(&b'\\'));
                found.values.push((offset, text.to_vec()));
                (offset, text.len())
            }
            Step::Piece(Piece::Damaged { text, offset, .. }) => {
                assert!(!text.is_empty());
                found.damaged.push((offset, text.len()));
                (offset, text.len())
            }
        };
        // Pieces come in order, do not overlap, and stand in what was inflated.
        assert!(offset >= end, "a piece at {offset} begins before {end}");
        end = offset + length as u64;
        assert!(end <= content.inflated_bytes());
    }
    assert!(content.is_finished());
    found.inflated_bytes = content.inflated_bytes();
    found.is_sound = content.damage().is_none();
    found
}

/// Whatever an object is, splitting it ends, in order and inside of it; plain and packed it is the same;
/// and in JSON as AWS writes it every record is found.
pub fn container(bytes: &[u8]) {
    if bytes.len() > MAX_INPUT_BYTES {
        return;
    }
    let found = split(bytes);
    if Encoding::sniff(bytes) != Encoding::Plain {
        return;
    }
    assert_eq!(found.inflated_bytes, bytes.len() as u64);
    assert!(found.is_sound);
    for (offset, text) in &found.values {
        let at = *offset as usize;
        assert_eq!(&bytes[at..at + text.len()], text);
    }
    if !bytes.is_empty() {
        assert_eq!(split(&gzip(bytes)), found);
        let zstd = zstd::bulk::compress(bytes, 1).expect("into memory");
        assert_eq!(split(&zstd), found);
    }
    // Cut gzip gives what comes before the cut.
    let packed = gzip(bytes);
    let cut = split(&packed[..packed.len() / 2]);
    assert!(!cut.is_sound || packed.len() < 4);
    assert!(cut.inflated_bytes <= found.inflated_bytes);
    whole_values_are_found(bytes, &found);
}

/// Objects in a row, as lines or in an array, are the values, each as it stands.
fn whole_values_are_found(bytes: &[u8], found: &Split) {
    let Some(values) = top_values(bytes) else {
        return;
    };
    let texts: Vec<&[u8]> = found.values.iter().map(|(_, text)| &text[..]).collect();
    assert_eq!(texts, values);
    assert!(found.damaged.is_empty(), "{:?}", found.damaged);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

thread_local! {
    static BUFFERS: RefCell<(Inflater, Window)> = RefCell::default();
    static DECODER: RefCell<Decoder> = RefCell::default();
    static READER: RefCell<Reader> = RefCell::default();
}

fn rules(keep: Keep) -> Rules {
    Rules {
        keep,
        filter: EventFilter::default(),
        hashes: true,
        max_kept_bytes: MAX_KEPT_BYTES,
    }
}

fn decoded(bytes: &[u8], rules: &Rules) -> DecodedGroup {
    DECODER.with_borrow_mut(|decoder| {
        let mut group = decoder.group(rules);
        let source = Source {
            uri: "archive/object",
            key_is_known: true,
        };
        group.object(&source, bytes);
        group.finish()
    })
}

/// Of every object the counts balance, what is kept comes back equal as JSON, positions are those of a
/// second reader, and the gate that skips records by their text changes nothing.
pub fn decode(bytes: &[u8]) {
    if bytes.len() > MAX_INPUT_BYTES {
        return;
    }
    let [kept, by_gate] = [Keep::all(), Keep::dynamodb()].map(|keep| {
        let group = decoded(bytes, &rules(keep.clone()));
        balanced(&group);
        records(bytes, &keep, &group)
    });
    // The gate may count an envelope as one record, so that positions differ, but not what is kept.
    let wanted = kept.into_iter().filter(is_dynamodb);
    assert_eq!(by_gate, wanted.collect::<Vec<Json>>());
}

fn is_dynamodb(record: &Json) -> bool {
    let source = record
        .member("eventSource")
        .and_then(Json::text)
        .unwrap_or_default();
    ["dynamodb", "streams.dynamodb", "dax"]
        .iter()
        .any(|service| source.eq_ignore_ascii_case(&format!("{service}.amazonaws.com")))
}

fn balanced(group: &DecodedGroup) {
    let [object] = &group.objects[..] else {
        panic!("one object gives one outcome");
    };
    let counts = object.counts;
    assert!(counts.is_balanced(), "{counts:?}");
    assert_eq!(counts.kept as usize, group.rows.keys.len());
    assert_eq!(counts.duplicate, 0);
    let not_selected: u64 = group.not_selected.values().sum();
    if object.status != ObjectStatus::NotALog {
        assert_eq!(counts.not_selected, not_selected);
        assert_eq!(counts.quarantined as usize, group.quarantine.len());
    }
    for entry in &group.quarantine {
        assert!(entry.record < counts.seen, "{entry:?}");
        assert!(entry.offset_bytes <= object.inflated_bytes, "{entry:?}");
    }
}

/// The records that were kept, each held against what its row gives back.
fn records(bytes: &[u8], keep: &Keep, group: &DecodedGroup) -> Vec<Json> {
    let mut texts: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let inflated = READER.with_borrow_mut(|reader| {
        reader.read(bytes, keep, &mut |found| {
            texts.insert(found.position, found.text.to_vec());
            Ok(())
        })
    });
    let inflated = inflated.expect("nothing fails");
    let object = &group.objects[0];
    assert_eq!(inflated.bytes, object.inflated_bytes);
    if object.status != ObjectStatus::NotALog {
        assert_eq!(inflated.positions, object.counts.seen);
    }
    let mut kept = Vec::new();
    let mut last = None;
    for row in 0..group.rows.keys.len() {
        let Some(Cell::Number(position)) = cell(group, "source_position", row) else {
            panic!("every row has a position");
        };
        assert!(last < Some(position), "positions go up");
        last = Some(position);
        let text = texts
            .get(&(position as u64))
            .expect("the second reader finds it");
        let record = Json::parse(text)
            .expect("what is kept is JSON")
            .without_nulls();
        assert_eq!(rebuilt(group, row), record);
        kept.push(record);
    }
    kept
}

fn cell<'g>(group: &'g DecodedGroup, name: &str, row: usize) -> Option<Cell<'g>> {
    let place = Events::COLUMNS
        .iter()
        .position(|column| column.name == name)?;
    match Events::COLUMNS[place].of {
        Of::Principal => {
            let principal = group.rows.keys[row].principal as usize;
            group.rows.principals.0[place].get(principal)
        }
        Of::Row | Of::Event => group.rows.events.0[place].get(row),
    }
}

/// The record that a row stands for: members of `extra` stand for the columns of their names.
fn rebuilt(group: &DecodedGroup, row: usize) -> Json {
    let mut members = BTreeMap::new();
    let time = match cell(group, "event_time_text", row) {
        Some(Cell::Text(text)) => Some(text.to_owned()),
        _ => match cell(group, "event_time_ms", row) {
            Some(Cell::Number(time)) => Some(canonical_event_time(time)),
            _ => None,
        },
    };
    if let Some(time) = time {
        members.insert(units("eventTime"), Json::Text(units(&time)));
    }
    for column in Events::COLUMNS {
        let (Some(member), Some(value)) = (column.member, cell(group, column.name, row)) else {
            continue;
        };
        let value = match (&column.cell, value) {
            (Kind::Json(_), Cell::Text(json)) => Json::parse(json.as_bytes()).expect("JSON"),
            (_, Cell::Text(text)) => Json::Text(units(text)),
            (_, Cell::Flag(truth)) => Json::Bool(truth),
            (_, Cell::Number(number)) => panic!("{number} in {member}"),
        };
        members.insert(units(member), value);
    }
    if let Some(Cell::Text(extra)) = cell(group, "extra", row) {
        let Some(Json::Object(extra)) = Json::parse(extra.as_bytes()) else {
            panic!("extra is no object: {extra}");
        };
        members.extend(extra);
    }
    Json::Object(members).without_nulls()
}

/// What a key tells is in it, and written out it tells the same; and as a name in a bundle it cannot climb.
pub fn key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    Folder::parse(&format!("{text}/"));
    plain_path(text);
    let Some(found) = ObjectKey::parse(text) else {
        return;
    };
    assert!(found.account.len() == 12 && found.account.bytes().all(|b| b.is_ascii_digit()));
    assert!(text.starts_with(found.prefix) && text.ends_with(found.file_name));
    assert!(found.prefix.is_empty() || found.prefix.ends_with('/'));
    assert!(!found.file_name.contains('/'));
    if let Some((first, last)) = found.dates {
        assert!(first <= last);
        // The folders of a whole year or month leave the date to the file's name.
        assert!(first < last || found.date == Some(first));
    }
    let (Some(region), Some(date)) = (found.region, found.date) else {
        return;
    };
    let has_folder = !matches!(found.kind, ObjectKind::OtherService | ObjectKind::Unknown);
    if !has_folder || found.dates != Some((date, date)) {
        return;
    }
    let organization = found
        .organization
        .map_or(String::new(), |id| format!("{id}/"));
    let written = format!(
        "{}AWSLogs/{organization}{}/{}/{region}/{}/{}",
        found.prefix,
        found.account,
        found.kind.name(),
        date.strftime("%Y/%m/%d"),
        found.file_name
    );
    assert_eq!(ObjectKey::parse(&written), Some(found), "{written}");
}

/// A path made of a URI has plain segments, and its URI can be read from it unless it was cut.
fn plain_path(uri: &str) {
    let path = path_of("objects", uri);
    let mut decoded = Vec::new();
    let mut is_cut = false;
    for segment in path.split('/') {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=+,@%".contains(&byte);
        assert!(
            segment.bytes().all(is_plain) && !matches!(segment, "" | "." | ".."),
            "{path}"
        );
        assert!(segment.len() <= 255 && !segment.starts_with('-'), "{path}");
        is_cut |= segment.len() > 195 || segment == "by-hash";
        let mut bytes = Vec::new();
        let mut rest = segment;
        while let Some(first) = rest.bytes().next() {
            if let (b'%', Some(hex)) = (first, rest.get(1..3)) {
                bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
                rest = &rest[3..];
            } else {
                bytes.push(first);
                rest = &rest[1..];
            }
        }
        decoded.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let decoded: Vec<&str> = decoded
        .iter()
        .map(|part| if part == "/" { "" } else { part })
        .collect();
    let whole = match uri.strip_prefix("s3://") {
        Some(rest) => format!("objects/{rest}"),
        None => format!("objects/local/{uri}"),
    };
    assert!(is_cut || decoded.join("/") == whole, "{path} of {uri:?}");
}

const ARNS: [&str; 4] = [
    "arn:aws:dynamodb:us-east-1:111122223333:table/prod",
    "arn:aws:dynamodb:us-east-1:111122223333:table/prod/stream/2021-04-15T04:02:47.428",
    "arn:aws:s3:::bucket/a",
    "",
];

/// Selectors that are accepted have one spelling, which says the same; and what their sources rule out
/// is never logged.
pub fn selectors(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(selectors) = Selectors::from_json(text) else {
        return;
    };
    assert!(Json::parse(bytes).is_some(), "what is accepted is JSON");
    let canonical = selectors.canonical_json();
    let again = Selectors::from_json(&canonical).expect("its own spelling is accepted");
    assert_eq!(again, selectors);
    assert_eq!(again.canonical_json(), canonical);
    let sources = selectors.sources();
    for facts in facts() {
        let resources: Vec<ResourceFact<'_>> = facts.1.to_vec();
        let facts = Facts {
            resources: &resources,
            ..facts.0
        };
        let verdict = selectors.decide(&facts);
        assert_eq!(verdict, again.decide(&facts));
        let is_ruled_out = sources.as_ref().is_some_and(|sources| {
            !facts
                .event_source
                .is_some_and(|source| sources.contains(&source))
        });
        assert!(!is_ruled_out || verdict == Verdict::No, "{facts:?}");
    }
}

/// Facts of many combinations.
fn facts() -> Vec<(Facts<'static>, [ResourceFact<'static>; 2])> {
    let mut all = Vec::new();
    for (number, arn) in ARNS.iter().enumerate() {
        for category in [
            None,
            Some("Data"),
            Some("Management"),
            Some("NetworkActivity"),
        ] {
            for event_source in [
                None,
                Some("dynamodb.amazonaws.com"),
                Some("s3.amazonaws.com"),
            ] {
                let facts = Facts {
                    category,
                    event_source,
                    event_name: Some(["GetItem", "PutItem"][number % 2]),
                    read_only: [None, Some(true), Some(false)][number % 3],
                    error_code: [None, Some("VpceAccessDenied")][number % 2],
                    ..Facts::default()
                };
                let types = [
                    "AWS::DynamoDB::Table",
                    "AWS::DynamoDB::Stream",
                    "AWS::S3::Object",
                ];
                let resource = |number: usize, arn: &'static str| ResourceFact {
                    resource_type: Some(types[number % 3]),
                    arn: Some(arn),
                };
                all.push((
                    facts,
                    [resource(number, arn), resource(number + 1, ARNS[0])],
                ));
            }
        }
    }
    all
}

/// A digest that is read says what its JSON says, and is hashed and signed as it stands.
pub fn digest(bytes: &[u8]) {
    let (mut inflater, mut window) = (Inflater::default(), Window::default());
    let parsed = match bytes.starts_with(&[0x1f, 0x8b]) {
        true => {
            let read = Digest::read(bytes, &mut inflater, &mut window);
            read.map(|digest| (digest, window.bytes().to_vec()))
        }
        false => Digest::parse(bytes).map(|digest| (digest, bytes.to_vec())),
    };
    let Ok((digest, text)) = parsed else {
        return;
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&text).expect("memory can be written");
    let packed = encoder.finish().expect("memory can be written");
    let again = Digest::read(&packed, &mut inflater, &mut window).expect("the same text");
    assert_eq!(format!("{again:?}"), format!("{digest:?}"));

    let slow = Json::parse(&text).expect("what is read is JSON");
    let told = |name: &str| slow.member(name).and_then(Json::text).expect(name);
    assert_eq!(digest.bucket, told("digestS3Bucket"));
    assert_eq!(digest.object, told("digestS3Object"));
    assert_eq!(digest.fingerprint, told("digestPublicKeyFingerprint"));
    let hash = ring::digest::digest(&ring::digest::SHA256, &text);
    assert_eq!(hash.as_ref(), digest.sha256);
    let hex: String = digest
        .sha256
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let previous = slow.member("previousDigestSignature").and_then(Json::text);
    let signed = format!(
        "{}\n{}/{}\n{hex}\n{}",
        told("digestEndTime"),
        digest.bucket,
        digest.object,
        previous.as_deref().unwrap_or("null")
    );
    assert_eq!(digest.signed_text, signed);
    let Some(Json::Array(files)) = slow.member("logFiles") else {
        panic!("what is read names log files");
    };
    assert_eq!(files.len(), digest.log_files.len());
    for (file, slow) in digest.log_files.iter().zip(files) {
        let told = |name: &str| slow.member(name).and_then(Json::text).expect(name);
        assert_eq!(file.object, told("s3Object"));
        assert_eq!(file.bucket, told("s3Bucket"));
        let hex = file.sha256.map(|hash| {
            hash.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        });
        if let Some(hex) = hex {
            assert_eq!(hex, told("hashValue").to_ascii_lowercase());
        }
    }
}
