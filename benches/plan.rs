//! Lists and plans an archive that exists by its keys alone, and converts nothing: what that takes of
//! time and memory.
//!
//! usage: plan OBJECTS LAKE

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dynatrail::archive::{Archive, Listing, ObjectKind, ObjectRef, S3Options, Selection};
use dynatrail::convert::crew::{Crew, Plans};
use dynatrail::convert::keep::Keep;
use dynatrail::convert::rules::{MAX_KEPT_BYTES, Rules};
use dynatrail::convert::{self, Bounds, ConvertError, Progress, Workshop};
use dynatrail::lake::receipt::EventFilter;
use dynatrail::lake::{LakeState, Store};
use jiff::ToSpan;
use jiff::civil::Date;

const ACCOUNTS: u64 = 8;
const REGIONS: [&str; 5] = [
    "us-east-1",
    "us-west-2",
    "eu-central-1",
    "ap-southeast-2",
    "sa-east-1",
];
const DAYS: u64 = 400;

/// Ends the run when all is planned.
struct Nobody;

impl Crew for Nobody {
    fn run(&self, _: &Store, _: &mut dyn Plans, _: Option<Instant>) -> Result<(), ConvertError> {
        Err(ConvertError::Interrupted)
    }
}

/// Bits that follow from a number and look random.
fn draw(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Sixteen letters and digits, as they end CloudTrail's names.
fn unique(number: u64) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letters = (0..16).map(|at| {
        let drawn = draw(number.wrapping_mul(16) + at) % LETTERS.len() as u64;
        char::from(LETTERS[drawn as usize])
    });
    letters.collect()
}

/// The keys of an archive as S3 lists them: by account, region and day.
fn keys(objects: u64) -> impl Iterator<Item = ObjectRef> {
    let first = Date::constant(2024, 1, 1);
    let folders = ACCOUNTS * REGIONS.len() as u64 * DAYS;
    (0..objects).map(move |number| {
        let folder = number * folders / objects;
        let day = i64::try_from(folder % DAYS).expect("a day");
        let date = first + day.days();
        let region = REGIONS[(folder / DAYS % REGIONS.len() as u64) as usize];
        let account = 111_122_223_333 * (1 + folder / DAYS / REGIONS.len() as u64);
        let minute = draw(number) % 1440;
        let uri = format!(
            "s3://trail-logs/AWSLogs/{account}/CloudTrail/{region}/{}/{account}_CloudTrail_{region}_{}\
             T{:02}{:02}Z_{}.json.gz",
            date.strftime("%Y/%m/%d"),
            date.strftime("%Y%m%d"),
            minute / 60,
            minute % 60,
            unique(number)
        );
        let etag = format!("\"{:016x}{:016x}\"", draw(number + 1), draw(number + 2));
        ObjectRef {
            uri: uri.into(),
            size: 1000 + draw(number) % 30_000,
            etag: Some(etag.into()),
            // What the name tells is read from it.
            kind: ObjectKind::Unknown,
            date: None,
        }
    })
}

/// The most memory that this process has had, in kB.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("unknown").trim().to_owned()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().expect("usage: plan OBJECTS LAKE");
    let objects: u64 = argument().parse().expect("a number of objects");
    let lake = argument();
    let begun = Instant::now();
    let mut listing = Listing::default();
    for object in keys(objects) {
        listing.admit(&Selection::everything(), object);
    }
    listing.finish().expect("room for the listing");
    assert_eq!(listing.objects.len(), objects);
    println!(
        "listed: {:.1} s, peak {}",
        begun.elapsed().as_secs_f64(),
        peak()
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let workshop = Workshop {
        archive: Arc::new(Archive::open(Vec::new(), S3Options::default())),
        crew: Arc::new(Nobody),
        rules: Arc::new(Rules {
            keep: Keep::dynamodb(),
            filter: EventFilter::default(),
            hashes: false,
            max_kept_bytes: MAX_KEPT_BYTES,
        }),
        runtime: runtime.handle().clone(),
        progress: Arc::new(Progress::default()),
        units_at_once: 1,
    };
    let store = Store::local(&lake);
    let selection = workshop.rules.keep.describe();
    let mut state = LakeState::open_or_create(&store, &selection).expect("a lake");
    let begun = Instant::now();
    let ended = convert::run(&workshop, &store, &mut state, listing, Bounds::default());
    assert!(matches!(ended, Err(ConvertError::Interrupted)));
    println!(
        "planned: {:.1} s, peak {}",
        begun.elapsed().as_secs_f64(),
        peak()
    );
    let plans = std::fs::read_dir(Path::new(&lake).join("_dynatrail/plans")).expect("plans");
    let sizes = plans.map(|plan| plan.and_then(|plan| plan.metadata()).expect("a plan").len());
    let sizes: Vec<u64> = sizes.collect();
    println!(
        "plans: {} files, {} bytes",
        sizes.len(),
        sizes.iter().sum::<u64>()
    );
    let begun = Instant::now();
    let state = LakeState::load(&store).expect("a lake");
    println!("opened again: {:.2} s", begun.elapsed().as_secs_f64());
    let left = state.objects_left(&store).expect("plans");
    println!(
        "left: {left} objects, {:.1} s, peak {}",
        begun.elapsed().as_secs_f64(),
        peak()
    );
}
