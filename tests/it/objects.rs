//! The objects of a listing are the same sequence, whether or not memory had room for them.

use dynatrail::archive::{Listing, ObjectKey, ObjectKind, ObjectRef, Objects, Selection};
use proptest::prelude::*;

fn object(uri: String, size: u64, etag: Option<u8>) -> ObjectRef {
    let key = ObjectKey::parse(&uri);
    ObjectRef {
        size,
        etag: etag.map(|etag| format!("\"{etag:032x}\"").into()),
        kind: key.map_or(ObjectKind::Unknown, |key| key.kind),
        date: key.and_then(|key| key.date),
        uri: uri.into(),
    }
}

/// Few names, so that some come twice; some without a date.
fn objects() -> impl Strategy<Value = Vec<ObjectRef>> {
    let folder = prop_oneof![
        Just("CloudTrail"),
        Just("CloudTrail-Digest"),
        Just("CloudTrail-NetworkActivity"),
        Just("CloudTrail-Insight"),
        Just("CloudTrail-Aggregated"),
        Just("CloudTrail-Later"),
        Just("Config"),
    ];
    let dated = (folder, 0..3_u8, 1..5_u8, 0..6_u8).prop_map(|(folder, account, day, number)| {
        format!(
            "s3://logs/AWSLogs/11112222333{account}/{folder}/us-east-1/2025/02/{day:02}/{number}é.gz"
        )
    });
    let other = (0..9_u8).prop_map(|number| format!("other/{number}"));
    let uri = prop_oneof![4 => dated, 1 => other];
    let object = (uri, 0..1000_u64, proptest::option::of(0..9_u8))
        .prop_map(|(uri, size, etag)| object(uri, size, etag));
    proptest::collection::vec(object, 0..120)
}

/// The slow twin: all in one vector; of one name the first that came.
fn twin(objects: &[ObjectRef]) -> Vec<ObjectRef> {
    let mut sorted: Vec<ObjectRef> = Vec::new();
    for object in objects {
        if sorted.iter().all(|other| other.uri != object.uri) {
            sorted.push(object.clone());
        }
    }
    let day = |object: &ObjectRef| match object.date {
        Some(date) => date.strftime("%Y%m%d").to_string(),
        None => "undated".to_owned(),
    };
    sorted.sort_by(|a, b| (day(a), &a.uri).cmp(&(day(b), &b.uri)));
    sorted
}

fn read(objects: &Objects) -> Vec<ObjectRef> {
    let objects = objects.iter().collect::<Result<Vec<_>, _>>();
    objects.expect("the temporary file is read")
}

/// Pushes all and finishes; gives how many were dropped too.
fn gather(mut objects: Objects, pushed: &[ObjectRef]) -> (Objects, u64) {
    for object in pushed {
        objects.push(object.clone());
    }
    let dropped = objects.finish().expect("the temporary file is written");
    (objects, dropped)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However few fit into memory: from none spilled to more runs than are merged at once.
    #[test]
    fn objects_come_sorted_and_once(pushed in objects(), most in prop_oneof![1..4_usize, 4..200_usize]) {
        let expected = twin(&pushed);
        let folder = tempfile::tempdir().expect("temp folder");
        let (objects, dropped) = gather(Objects::bounded(most, folder.path()), &pushed);
        prop_assert_eq!(&read(&objects), &expected);
        prop_assert_eq!(&read(&objects), &expected, "once more");
        prop_assert_eq!(objects.len(), expected.len() as u64);
        prop_assert_eq!(dropped, (pushed.len() - expected.len()) as u64);
        prop_assert_eq!(objects.size_bytes(), expected.iter().map(|object| object.size).sum::<u64>());
        // Two that read at once do not disturb each other.
        let (mut one, mut other) = (objects.iter(), objects.iter());
        for object in &expected {
            for iter in [&mut one, &mut other] {
                prop_assert_eq!(&iter.next().expect("as many").expect("read"), object);
            }
        }
        let mut by_uri = expected;
        by_uri.sort_by(|a, b| a.uri.cmp(&b.uri));
        prop_assert_eq!(&objects.to_sorted_vec().expect("read"), &by_uri);
        prop_assert_eq!(&objects.into_sorted_vec().expect("read"), &by_uri);
        prop_assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "no name");
    }
}

#[test]
fn a_small_listing_needs_no_disk_and_a_large_one_says_what_is_wrong_with_it() {
    let object = |number: u32| object(format!("other/{number:04}"), 1, None);
    let nowhere = std::path::Path::new("/nowhere/at/all");
    let pushed: Vec<ObjectRef> = (0..10).map(object).collect();
    let (objects, _) = gather(Objects::bounded(10, nowhere), &pushed);
    assert_eq!(read(&objects), pushed);
    let mut listing = Listing {
        objects: Objects::bounded(9, nowhere),
        ..Listing::default()
    };
    for object in pushed {
        listing.admit(&Selection::everything(), object);
    }
    let error = listing.finish().expect_err("there is no folder");
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}
