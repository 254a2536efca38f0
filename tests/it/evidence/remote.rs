//! Evidence from S3: signatures come from the metadata, and what changed is told.

use std::fs;
use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::primitives::ByteStream;
use dynatrail::archive::{S3Options, aws_config};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::digest_file::{entry, first, stored};
use crate::bad_input::{record, wrapped};
use crate::convert_s3::run_on;
use crate::product::files;
use crate::s3_server::{Faults, S3Server};

const DAY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/05";
const DIGEST: &str = "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2025/03/05/111122223333_CloudTrail-Digest_us-east-1_trail_us-east-1_20250305T110000Z.json.gz";

fn log_key(id: &str) -> String {
    format!("{DAY}/111122223333_CloudTrail_us-east-1_20250305T1005Z_{id}.json.gz")
}

/// Puts objects as CloudTrail would, the digest with its signature in the metadata.
fn put(server: &S3Server, objects: &[(String, Vec<u8>)]) {
    let environment = server.environment();
    let credentials = Credentials::new(&environment[0].1, &environment[1].1, None, None, "test");
    let options = S3Options {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(server.endpoint.clone()),
        ..S3Options::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = runtime.block_on(aws_config(&options));
    let config = aws_sdk_s3::config::Builder::from(&config)
        .force_path_style(true)
        .credentials_provider(credentials);
    let client = Client::from_conf(config.build());
    for (key, bytes) in objects {
        let mut call = client
            .put_object()
            .bucket("trail-logs")
            .key(key)
            .body(ByteStream::from(bytes.clone()));
        if key == DIGEST {
            call = call
                .metadata("signature", "00ff")
                .metadata("signature-algorithm", "SHA256withRSA");
        }
        runtime.block_on(call.send()).expect("stored");
    }
}

fn json_at(bundle: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bundle.join(name)).expect("there")).expect("JSON")
}

/// Signatures come from the objects' metadata; what is gone or replaced since it was converted is named.
#[test]
fn a_bundle_from_s3_has_signatures() {
    let root = TempDir::new().expect("temp folder");
    fs::create_dir(root.path().join("trail-logs")).expect("made");
    fs::create_dir(root.path().join("lakes")).expect("made");
    let server = S3Server::start(root.path(), Faults::default());
    let logs = ["a", "b", "c"].map(|id| (log_key(id), wrapped(&[record(id)])));
    put(&server, &logs);
    let named = [
        entry(&logs[0].0, b"something else"),
        entry(&logs[1].0, &logs[1].1),
        entry(&logs[2].0, &logs[2].1),
    ];
    put(
        &server,
        &[(DIGEST.to_owned(), stored(&first(DIGEST, &named)))],
    );
    let lake = "s3://lakes/dynamodb";
    let ended = run_on(&server, &["convert", "s3://trail-logs/", "--lake", lake]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let out = TempDir::new().expect("temp folder");
    let evidence = |name: &str| {
        let bundle = out.path().join(name);
        let fixed = [
            "evidence",
            "--lake",
            lake,
            "--out",
            bundle.to_str().expect("UTF-8"),
        ];
        let ids = ["a", "b", "c"].map(|id| ["--event-id", id]).concat();
        (run_on(&server, &[&fixed[..], &ids].concat()), bundle)
    };
    let (ended, bundle) = evidence("one");
    // The digest has another hash of the object than the object has.
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("has been altered"),
        "{}",
        ended.stderr
    );
    let manifest = json_at(&bundle, "manifest.json");
    assert_eq!(
        manifest["problems"].as_array().map(Vec::len),
        Some(1),
        "{manifest:#}"
    );
    assert_eq!(manifest["records"], 3);
    for (object, (key, bytes)) in manifest["objects"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(&logs)
    {
        assert_eq!(object["uri"], format!("s3://trail-logs/{key}"));
        assert_eq!(object["path"], format!("objects/trail-logs/{key}"));
        assert!(&fs::read(bundle.join("objects/trail-logs").join(key)).expect("there") == bytes);
    }
    let sidecar = json_at(
        &bundle,
        &format!("digests/trail-logs/{DIGEST}.metadata.json"),
    );
    let expected =
        json!({"Metadata": {"signature": "00ff", "signature-algorithm": "SHA256withRSA"}});
    assert_eq!(sidecar, expected);
    let listed = server.take_requests();
    let folders = |prefix: &str| {
        let seen = listed.iter().filter(|request| request.is_list());
        let prefixes = seen.filter_map(|request| request.query.get("prefix"));
        prefixes.filter(|listed| listed.starts_with(prefix)).count()
    };
    assert!(folders("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2025/03/05/") > 0);
    assert!(folders("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2025/03/06/") > 0);

    fs::remove_file(root.path().join("trail-logs").join(log_key("b"))).expect("removed");
    // The server of the tests lists no ETags: the size tells.
    let other = String::from_utf8(wrapped(&[record("c")]))
        .expect("plain")
        .replace("GetItem", "UpdateItem");
    put(&server, &[(log_key("c"), other.into_bytes())]);
    let (ended, bundle) = evidence("two");
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    for words in ["no longer there", "no longer the one that was converted"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert_eq!(files(&bundle.join("objects")).len(), 1);
    assert_eq!(json_at(&bundle, "manifest.json")["events"], 3);
}
