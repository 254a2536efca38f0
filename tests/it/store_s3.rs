//! Files of a lake in S3: large ones go in pieces, and unfinished ones leave nothing.

use std::fs;
use std::io::Write;

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use dynatrail::archive::{S3Options, aws_config};
use dynatrail::lake::{Store, s3::client};
use tempfile::TempDir;

use crate::s3_server::{ACCESS_KEY, Faults, S3Server, SECRET_KEY};

/// Bytes in which every stretch is told from every other.
fn distinct_bytes(count: usize) -> Vec<u8> {
    let numbers = (0..).flat_map(|number: u64| number.to_le_bytes());
    numbers.take(count).collect()
}

#[test]
fn large_files_go_to_s3_in_pieces_or_not_at_all() {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("lakes")).unwrap();
    let server = S3Server::start(root.path(), Faults::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    let options = S3Options {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(server.endpoint.clone()),
        ..S3Options::default()
    };
    let config = runtime.block_on(aws_config(&options)).into_builder();
    let config = config
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let client = client("lakes", &config, None).unwrap();
    let store = Store::s3("lakes", client, "large", runtime.handle().clone());
    let (piece, odd) = (8 << 20, 12_345);
    for (name, size, step) in [
        ("empty", 0, 1),
        ("one-piece", piece, 1 << 20),
        ("two-pieces", 2 * piece, piece),
        ("at-once", 2 * piece + odd, usize::MAX),
        ("small-writes", (20 << 20) + odd, 700_001),
    ] {
        let bytes = distinct_bytes(size);
        let name = format!("events/dt=2025-03-12/{name}.parquet");
        let mut writer = store.create(&name).unwrap();
        for chunk in bytes.chunks(step) {
            writer.write_all(chunk).unwrap();
        }
        assert_eq!(writer.written_bytes(), size as u64);
        assert!(
            store.read(&name).unwrap().is_none(),
            "{name} is there early"
        );
        writer.finish().unwrap();
        assert!(
            store.read(&name).unwrap().unwrap() == bytes,
            "{name} differs"
        );
    }
    let requests = server.take_requests();
    let pieces = requests
        .iter()
        .filter(|seen| seen.query.contains_key("partNumber"));
    assert!(pieces.count() >= 1 + 2 + 3 + 3);

    let listed = store.list("").unwrap();
    for size in [piece / 2, 20 << 20] {
        let mut writer = store.create("events/dropped.parquet").unwrap();
        writer.write_all(&distinct_bytes(size)).unwrap();
        drop(writer);
        assert!(store.read("events/dropped.parquet").unwrap().is_none());
    }
    assert_eq!(store.list("").unwrap(), listed);
    let aborts = server.take_requests().into_iter();
    let aborts = aborts.filter(|seen| seen.method == hyper::Method::DELETE);
    assert_eq!(
        aborts.count(),
        1,
        "the pieces of a dropped file are paid for"
    );
}
