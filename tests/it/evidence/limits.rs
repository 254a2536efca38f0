//! What a bundle may hold, at the edges.

use dynatrail::archive::S3Options;
use dynatrail::evidence::{Asked, Limits, Sources, write};
use dynatrail::lake::{LakeState, Store};
use dynatrail::query::{QueryOptions, Session};

use super::Case;
use crate::product::files;

/// What a limit allows is written, and one more is an error that says how to narrow; nothing is left.
#[test]
fn limits_hold_at_their_edges() {
    let case = Case::without_digests();
    let ids: Vec<String> = case.ids().into_iter().take(40).collect();
    let store = Store::local(case.path("lake"));
    let lake = LakeState::load(&store).expect("a lake");
    let options = QueryOptions::default();
    let session = Session::open(&store, &lake, &options).expect("a session");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sources = Sources {
        session: &session,
        store: &store,
        lake: &lake,
        place: "lake",
        s3: S3Options::default(),
        runtime: runtime.handle().clone(),
    };
    let asked = |out: &str, limits: Limits| Asked {
        event_ids: ids.clone(),
        run: None,
        arguments: Vec::new(),
        limits,
        out: case.path(out),
    };
    let whole = write(&sources, &asked("whole", Limits::default())).expect("within limits");
    assert_eq!(whole.problems, Vec::<String>::new());
    let objects = case.manifest("whole")["objects"]
        .as_array()
        .expect("a list")
        .clone();
    let bytes: u64 = objects
        .iter()
        .filter_map(|object| object["size_bytes"].as_u64())
        .sum();
    let files: u64 = files(&case.path("whole"))
        .iter()
        .map(|(_, bytes)| bytes.len() as u64)
        .sum();
    let exact = Limits {
        events: ids.len() as u64,
        objects: whole.objects,
        bytes: files,
    };
    assert_eq!(
        write(&sources, &asked("exact", exact)).expect("it fits"),
        whole
    );
    let narrower = [
        (
            Limits {
                events: exact.events - 1,
                ..exact
            },
            "40 events",
        ),
        (
            Limits {
                objects: exact.objects - 1,
                ..exact
            },
            "objects, more than",
        ),
        (
            Limits {
                bytes: bytes - 1,
                ..exact
            },
            "bytes of objects",
        ),
        (
            Limits {
                bytes: files - 1,
                ..exact
            },
            "cannot write",
        ),
    ];
    for (limits, words) in narrower {
        let error = write(&sources, &asked("less", limits)).expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
        assert!(!case.path("less").exists() && !case.path("less.unfinished").exists());
    }
}
