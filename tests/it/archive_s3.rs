//! Archives in S3: which folders are asked for, and what becomes of requests that fail.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use bytes::Bytes;
use dynatrail::archive::{
    Archive, FetchError, ListError, Listing, ObjectKey, ObjectRef, S3Options, Selection, Source,
    aws_config,
};
use jiff::civil::date;
use tempfile::TempDir;

use crate::s3_server::{ACCESS_KEY, Faults, S3Server, SECRET_KEY, Seen};

const ACCOUNT: &str = "111122223333";

/// An archive of sixty days, with what lies beside it in real buckets.
fn archive_of_sixty_days() -> TempDir {
    let root = TempDir::new().unwrap();
    let bucket = root.path().join("logs");
    let put = |key: &str| {
        let path = bucket.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, key).unwrap();
    };
    for day in date(2025, 5, 2).series(jiff::Span::new().days(1)).take(60) {
        let folder = day.strftime("%Y/%m/%d");
        let stamp = day.strftime("%Y%m%d");
        for account in [ACCOUNT, "444455556666"] {
            for region in ["us-east-1", "eu-west-1"] {
                let place = format!("{region}/{folder}/{account}");
                let trail = format!("AWSLogs/{account}/CloudTrail");
                for rest in ["T0005Z_aaaaaaaaaaaaaaaa", "T1205Z_bbbbbbbbbbbbbbbb"] {
                    put(&format!(
                        "{trail}/{place}_CloudTrail_{region}_{stamp}{rest}.json.gz"
                    ));
                }
                let name =
                    format!("_CloudTrail-Digest_{region}_t_{region}_{stamp}T000000Z.json.gz");
                put(&format!("{trail}-Digest/{place}{name}"));
            }
        }
        let organization = "central/AWSLogs/o-exampleorgid1/777788889999";
        put(&format!(
            "{organization}/CloudTrail/us-east-1/{folder}/x.json.gz"
        ));
        for beside in ["CloudTrail-Insight", "elasticloadbalancing"] {
            put(&format!("AWSLogs/{ACCOUNT}/{beside}/us-east-1/{folder}/x"));
        }
    }
    for index in 0..30 {
        put(&format!(
            "AWSLogs/{ACCOUNT}/CloudTrail-NetworkActivity/us-east-1/2025/06/10/{index}.json.gz"
        ));
        put(&format!("other/{index}.json"));
    }
    for key in [
        "CloudTrail/us-east-1/loose.json.gz",
        "CloudTrail/us-east-1/2025/loose.json.gz",
        "CloudTrail/us-east-1/2025/13/01/odd.json.gz",
        "CloudTrail/us-east-1/2024/12/31/old.json.gz",
        "handmade/a b+c%2F&é.json",
    ] {
        put(&format!("AWSLogs/{ACCOUNT}/{key}"));
    }
    root
}

fn selection(accounts: &[&str], regions: &[&str], days: Option<[&str; 2]>) -> Selection {
    Selection {
        accounts: accounts.iter().map(|text| (*text).to_owned()).collect(),
        regions: regions.iter().map(|text| (*text).to_owned()).collect(),
        since: days.map(|[since, _]| since.parse().unwrap()),
        until: days.map(|[_, until]| until.parse().unwrap()),
        ..Selection::everything()
    }
}

const ONE_DAY: Option<[&str; 2]> = Some(["2025-06-10T00:00:00Z", "2025-06-11T00:00:00Z"]);

fn options(server: &S3Server) -> S3Options {
    S3Options {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(server.endpoint.clone()),
        ..S3Options::default()
    }
}

/// The options with credentials, loaded once: that takes longer than a request.
struct Reader {
    options: S3Options,
    config: SdkConfig,
}

impl Reader {
    async fn new(options: S3Options) -> Reader {
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
        let mut config = aws_config(&options).await.into_builder();
        if !options.no_sign_request {
            config = config.credentials_provider(SharedCredentialsProvider::new(credentials));
        }
        let config = config.build();
        Reader { options, config }
    }

    async fn of(server: &S3Server) -> Reader {
        Reader::new(options(server)).await
    }

    fn open(&self, sources: &[&str]) -> Archive {
        let sources = sources.iter().map(|text| Source::parse(text).unwrap());
        Archive::open_with(sources.collect(), self.options.clone(), self.config.clone())
    }

    async fn list(&self, source: &str, selection: &Selection) -> Listing {
        let listing = self.open(&[source]).list(selection, &|_| ()).await.unwrap();
        let left_out: u64 = listing.out_of_selection.values().sum();
        assert_eq!(listing.listed, listing.objects.len() + left_out);
        listing
    }
}

async fn fetch(archive: &Archive, object: &ObjectRef) -> Result<Bytes, FetchError> {
    let etag = object.etag.as_deref();
    archive.fetch(&object.uri, object.size, etag).await
}

fn uris(listing: &Listing) -> Vec<String> {
    let objects = listing.objects.to_sorted_vec().unwrap();
    objects
        .iter()
        .map(|object| object.uri.to_string())
        .collect()
}

fn keys_of(root: &TempDir) -> Vec<String> {
    let bucket = root.path().join("logs");
    let mut keys = Vec::new();
    for entry in walkdir::WalkDir::new(&bucket) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let key = entry.path().strip_prefix(&bucket).unwrap();
            keys.push(key.to_str().unwrap().to_owned());
        }
    }
    keys
}

/// The slow twin: every key of the bucket, parsed and selected one by one.
fn twin(keys: &[String], prefix: &str, selection: &Selection) -> Vec<String> {
    let mut found = Vec::new();
    for key in keys {
        let is_below = key == prefix
            || prefix.is_empty()
            || key.starts_with(&format!("{}/", prefix.trim_end_matches('/')));
        let is_wanted = ObjectKey::parse(key).is_none_or(|key| selection.admits(&key).is_ok());
        if is_below && is_wanted {
            found.push(format!("s3://logs/{key}"));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn every_depth_lists_what_the_slow_twin_finds() {
    let root = archive_of_sixty_days();
    let keys = keys_of(&root);
    let deep = format!("AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2025/06/10/");
    let name = format!("{ACCOUNT}_CloudTrail_us-east-1_20250610T0005Z_aaaaaaaaaaaaaaaa.json.gz");
    let mut prefixes: Vec<&str> = vec![
        "",
        "central",
        "central/",
        "other/",
        "nothing/",
        "AWSLogs/1111",
    ];
    prefixes.extend(deep.match_indices('/').map(|(end, _)| &deep[..=end]));
    let key = format!("{deep}{name}");
    prefixes.extend([deep.trim_end_matches('/'), &key]);
    let selections = [
        selection(&[], &[], None),
        selection(&[], &[], ONE_DAY),
        selection(&[], &["eu-west-1"], None),
        selection(
            &[ACCOUNT],
            &["us-east-1"],
            Some(["2025-05-30T12:00:00Z", "2025-06-10T13:00:00Z"]),
        ),
        selection(
            &["777788889999"],
            &[],
            Some(["2025-05-01T00:00:00Z", "2025-08-01T00:00:00Z"]),
        ),
    ];
    for page_keys in [Some(20), Some(1000)] {
        let faults = Faults {
            page_keys,
            ..Faults::default()
        };
        let server = S3Server::start(root.path(), faults);
        let reader = Reader::of(&server).await;
        for prefix in &prefixes {
            for selection in &selections {
                let listing = reader.list(&format!("s3://logs/{prefix}"), selection).await;
                let expected = twin(&keys, prefix, selection);
                assert!(listing.failures.is_empty(), "{:?}", listing.failures);
                assert_eq!(
                    uris(&listing),
                    expected,
                    "{prefix:?} {page_keys:?} {selection:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_other_server_lists_the_same() {
    let root = archive_of_sixty_days();
    fs::remove_dir_all(root.path().join(format!("logs/AWSLogs/{ACCOUNT}/handmade"))).unwrap();
    let server = S3Server::start(root.path(), Faults::default());
    let reader = Reader::of(&server).await;
    let one_day = selection(&[], &[], ONE_DAY);
    let listing = reader.list("s3://logs/AWSLogs/", &one_day).await;
    assert_eq!(uris(&listing), twin(&keys_of(&root), "AWSLogs/", &one_day));
    let kinds: BTreeMap<&str, u64> = [("insight", 3)].into();
    assert_eq!(listing.out_of_selection, kinds);
    assert_eq!(listing.pruned_folders["digest"], 2);
    assert_eq!(listing.pruned_folders["other_service"], 1);
}

#[tokio::test]
async fn a_question_for_a_day_takes_few_requests() {
    let root = archive_of_sixty_days();
    let faults = Faults {
        page_keys: Some(100),
        ..Faults::default()
    };
    let server = S3Server::start(root.path(), faults);
    let reader = Reader::of(&server).await;
    let region = format!("AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/");
    reader
        .list(
            &format!("s3://logs/{region}"),
            &selection(&[], &[], ONE_DAY),
        )
        .await;
    let requests = server.take_requests();
    let lists = requests.iter().filter(|seen| seen.is_list());
    let mut prefixes: Vec<&str> = lists
        .map(|seen| &seen.query["prefix"][region.len()..])
        .collect();
    prefixes.sort_unstable();
    // The month that is none may hold anything.
    let expected = [
        "",
        "2025/",
        "2025/06/",
        "2025/06/10/",
        "2025/06/11/",
        "2025/06/12/",
        "2025/13/",
        "2025/13/01/",
    ];
    assert_eq!(prefixes, expected);
    reader
        .list("s3://logs", &selection(&[], &[], ONE_DAY))
        .await;
    let lists = server
        .take_requests()
        .iter()
        .filter(|seen| seen.is_list())
        .count();
    assert!(lists <= 50, "{lists}");
}

/// Lists and fetches all of one account's region, and compares the bytes with the files.
async fn fetch_all(reader: &Reader) -> usize {
    let source = format!("s3://logs/AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2025/06/");
    let archive = reader.open(&[&source]);
    let listing = archive.list(&Selection::everything(), &|_| ()).await;
    let listing = listing.unwrap();
    assert!(listing.failures.is_empty(), "{:?}", listing.failures);
    let objects = listing.objects.into_sorted_vec().unwrap();
    let fetches = objects.iter().map(|object| fetch(&archive, object));
    let bodies = futures::future::join_all(fetches).await;
    for (object, body) in objects.iter().zip(bodies) {
        let key = object.uri.strip_prefix("s3://logs/").unwrap();
        assert_eq!(body.unwrap(), key);
    }
    objects.len()
}

#[tokio::test]
async fn failing_requests_still_give_the_right_bytes() {
    let root = archive_of_sixty_days();
    let mild = Faults {
        unavailable: 0.07,
        resets: 0.07,
        short_bodies: 0.07,
        ..Faults::default()
    };
    let harsh = Faults {
        unavailable: 0.15,
        resets: 0.15,
        short_bodies: 0.15,
        ..Faults::default()
    };
    for (seed, faults) in [(1, mild.clone()), (2, mild), (3, harsh)] {
        let page_keys = Some(10);
        let server = S3Server::start(
            root.path(),
            Faults {
                seed,
                page_keys,
                ..faults
            },
        );
        let reader = Reader::of(&server).await;
        assert_eq!(fetch_all(&reader).await, 60);
        let requests = server.take_requests();
        let broken = |kind: fn(&Seen) -> bool| {
            requests
                .iter()
                .filter(|seen| kind(seen) && seen.is_broken)
                .count()
        };
        assert!(broken(Seen::is_get) > 5, "{}", broken(Seen::is_get));
        assert!(broken(Seen::is_list) > 0);
    }
}

#[tokio::test]
async fn objects_that_cannot_be_had_say_why() {
    let root = archive_of_sixty_days();
    let day = format!("AWSLogs/{ACCOUNT}/CloudTrail-NetworkActivity/us-east-1/2025/06/10/");
    let key = |index: u32| format!("{day}{index}.json.gz");
    let faults = Faults {
        vanished_keys: vec![key(0)],
        frozen_keys: vec![key(1)],
        ..Faults::default()
    };
    let server = S3Server::start(root.path(), faults.clone());
    let reader = Reader::of(&server).await;
    let archive = reader.open(&[&format!("s3://logs/{day}")]);
    let listing = archive.list(&Selection::everything(), &|_| ()).await;
    let objects = listing.unwrap().objects.into_sorted_vec().unwrap();
    let denied_prefixes = vec![key(2)];
    server.set_faults(Faults {
        denied_prefixes,
        short_bodies: 0.0,
        ..faults.clone()
    });
    fs::remove_file(root.path().join("logs").join(key(3))).unwrap();
    fs::write(root.path().join("logs").join(key(4)), "another size").unwrap();
    let find = |index: u32| {
        let uri = format!("s3://logs/{}", key(index));
        let mut objects = objects.iter();
        objects.find(|object| *object.uri == uri).unwrap().clone()
    };
    let refused = async |index: u32| fetch(&archive, &find(index)).await.unwrap_err();
    assert!(matches!(refused(0).await, FetchError::Gone { .. }));
    assert!(matches!(refused(1).await, FetchError::Frozen { .. }));
    let denied = refused(2).await;
    assert!(matches!(denied, FetchError::Denied { .. }));
    assert_eq!(
        denied.to_string(),
        format!("access to s3://logs/{} is denied", key(2))
    );
    let source = std::error::Error::source(&denied).unwrap().to_string();
    assert_eq!(source, "AccessDenied: as the test asks (status 403)");
    assert!(matches!(refused(3).await, FetchError::Gone { .. }));
    assert!(matches!(refused(4).await, FetchError::Changed { .. }));
    let mut other = find(5);
    assert_eq!(fetch(&archive, &other).await.unwrap(), key(5));
    other.etag = Some("\"another\"".into());
    assert!(matches!(
        fetch(&archive, &other).await,
        Err(FetchError::Changed { .. })
    ));
    server.take_requests();
    server.set_faults(Faults {
        short_bodies: 1.0,
        ..faults
    });
    let short = refused(6).await;
    assert!(matches!(short, FetchError::Short { .. }), "{short:?}");
    assert_eq!(server.take_requests().len(), 6);
}

#[tokio::test]
async fn a_denied_prefix_is_named_and_the_rest_is_listed() {
    let root = archive_of_sixty_days();
    let denied = "AWSLogs/444455556666/";
    let faults = Faults {
        denied_prefixes: vec![denied.to_owned()],
        page_keys: Some(100),
        ..Faults::default()
    };
    let server = S3Server::start(root.path(), faults);
    let reader = Reader::of(&server).await;
    let listing = reader
        .list("s3://logs/AWSLogs/", &Selection::everything())
        .await;
    let mut expected = twin(&keys_of(&root), "AWSLogs/", &Selection::everything());
    expected.retain(|uri| !uri.contains(denied));
    assert_eq!(uris(&listing), expected);
    let [failure] = &listing.failures[..] else {
        panic!("{:?}", listing.failures)
    };
    assert_eq!(
        failure.to_string(),
        format!("cannot list s3://logs/{denied}")
    );
    assert!(matches!(failure.error, ListError::Denied(_)));
    let missing = reader.list("s3://missing/", &Selection::everything()).await;
    let [failure] = &missing.failures[..] else {
        panic!("{:?}", missing.failures)
    };
    assert!(
        matches!(failure.error, ListError::NotFound(_)),
        "{failure:?}"
    );
}

#[tokio::test]
async fn options_reach_the_server() {
    let root = archive_of_sixty_days();
    let faults = Faults {
        requester_pays: true,
        region: Some("eu-central-1".to_owned()),
        get_delay: Duration::from_millis(1),
        ..Faults::default()
    };
    let server = S3Server::start(root.path(), faults.clone());
    let reader = Reader::of(&server).await;
    // The region is wrong and found out; who pays is not.
    let paying = S3Options {
        requester_pays: true,
        ..options(&server)
    };
    assert_eq!(fetch_all(&Reader::new(paying).await).await, 60);
    assert!(server.take_requests().iter().all(|seen| seen.is_signed));
    let listing = reader
        .list("s3://logs/other/", &Selection::everything())
        .await;
    assert!(matches!(listing.failures[0].error, ListError::Denied(_)));

    let public = S3Server::start(
        root.path(),
        Faults {
            public: true,
            ..Faults::default()
        },
    );
    let unsigned = S3Options {
        no_sign_request: true,
        ..options(&public)
    };
    assert_eq!(fetch_all(&Reader::new(unsigned).await).await, 60);
    assert!(!public.take_requests().iter().any(|seen| seen.is_signed));
}

#[tokio::test]
async fn sources_that_overlap_count_once() {
    let root = archive_of_sixty_days();
    let server = S3Server::start(root.path(), Faults::default());
    let reader = Reader::of(&server).await;
    let archive = reader.open(&["s3://logs/other/", "s3://logs/other/1.json"]);
    let listing = archive.list(&Selection::everything(), &|_| ()).await;
    let listing = listing.unwrap();
    assert_eq!((listing.objects.len(), listing.listed), (30, 31));
    assert_eq!(listing.out_of_selection["listed_twice"], 1);
}

/// Runs itself once more, in a process whose environment names the server.
#[tokio::test]
async fn the_environment_is_honoured() {
    const CHILD: &str = "DYNATRAIL_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let sources = vec![Source::parse("s3://logs/other/1.json").unwrap()];
        let archive = Archive::open(sources, S3Options::default());
        let listing = archive.list(&Selection::everything(), &|_| ()).await;
        let objects = listing.unwrap().objects.into_sorted_vec().unwrap();
        let body = fetch(&archive, &objects[0]).await.unwrap();
        return assert_eq!(body, "other/1.json");
    }
    let root = archive_of_sixty_days();
    let server = S3Server::start(root.path(), Faults::default());
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "archive_s3::the_environment_is_honoured"])
        .envs(server.environment())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
    assert!(server.take_requests().iter().any(Seen::is_get));
}
