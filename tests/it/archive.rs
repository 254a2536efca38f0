//! Names, selections and local folders of an archive.

use std::fs;
use std::path::Path;

use dynatrail::archive::{
    Archive, FetchError, ListError, Listing, MAX_OBJECT_BYTES, ObjectKey, ObjectKind, ObjectRef,
    S3Options, Selection, Source, SourceError, parse_since, parse_until,
};
use jiff::Timestamp;
use tempfile::TempDir;

/// `key | organization | account | kind | region | date | stamp | prefix`; `-` for none; `key |` alone: no parse.
const KEYS: &str = "
AWSLogs/123456789012/CloudTrail/us-east-1/2025/06/01/123456789012_CloudTrail_us-east-1_20250601T2355Z_WMiHxZgr5Hdd6UDc.json.gz | - | 123456789012 | CloudTrail | us-east-1 | 2025-06-01 | 2025-06-01T23:55:00Z |
a/b/AWSLogs/o-exampleorgid1/123456789012/CloudTrail/eu-west-1/2025/06/01/x.json.gz | o-exampleorgid1 | 123456789012 | CloudTrail | eu-west-1 | 2025-06-01 | - | a/b/
AWSLogs/AWSLogs/111111111111/CloudTrail/archive/AWSLogs/123456789012/CloudTrail/us-west-2/2025/06/01/x.json | - | 123456789012 | CloudTrail | us-west-2 | 2025-06-01 | - | AWSLogs/AWSLogs/111111111111/CloudTrail/archive/
AWSLogs/123456789012/CloudTrail/us-east-1/2025/06/01/AWSLogs/x.json | - | 123456789012 | CloudTrail | us-east-1 | 2025-06-01 | - |
s3://bucket/AWSLogs/123456789012/CloudTrail-NetworkActivity/us-east-1/2025/06/01/x.json.gz | - | 123456789012 | NetworkActivity | us-east-1 | 2025-06-01 | - | s3://bucket/
AWSLogs/123456789012/CloudTrail-Insight/us-east-1/2025/06/01/123456789012_CloudTrail-Insight_us-east-1_20250601T1220Z_WMiHxZgr5Hdd6UDc.json.gz | - | 123456789012 | Insight | us-east-1 | 2025-06-01 | 2025-06-01T12:20:00Z |
AWSLogs/123456789012/CloudTrail-Aggregated/us-east-1/2025/06/01/x.json.gz | - | 123456789012 | Aggregated | us-east-1 | 2025-06-01 | - |
AWSLogs/123456789012/CloudTrail-Novelty/us-east-1/2025/06/01/x.json.gz | - | 123456789012 | Unknown | us-east-1 | 2025-06-01 | - |
AWSLogs/123456789012/CloudTrail-Digest/us-east-2/2015/08/17/123456789012_CloudTrail-Digest_us-east-2_my_trail_20250101T000000Z_us-east-1_20150817T150131Z.json.gz | - | 123456789012 | Digest | us-east-2 | 2015-08-17 | 2015-08-17T15:01:31Z |
123456789012_CloudTrail-Digest_us-east-2_your-trail_us-east-2_20150817T150131Z_backfill.json.gz | - | 123456789012 | Digest | us-east-2 | 2015-08-17 | 2015-08-17T15:01:31Z |
123456789012_CloudTrail_us-west-1_20140620T1255ZHdkvFTXOA3Vnhbc.json.gz | - | 123456789012 | CloudTrail | us-west-1 | 2014-06-20 | 2014-06-20T12:55:00Z |
logs/flat/218007301253_CloudTrail_us-east-1_20230710T1220Z_WMiHxZgr5Hdd6UDc.json | - | 218007301253 | CloudTrail | us-east-1 | 2023-07-10 | 2023-07-10T12:20:00Z | logs/flat/
AWSLogs/123456789012/CloudTrail/us-east-1/2025/13/01/123456789012_CloudTrail_us-east-1_20250601T2355Z_WMiHxZgr5Hdd6UDc.json.gz | - | 123456789012 | CloudTrail | us-east-1 | 2025-06-01 | 2025-06-01T23:55:00Z |
AWSLogs/123456789012/CloudTrail/us-east-1/2025/02/30/x.json.gz | - | 123456789012 | CloudTrail | us-east-1 | - | - |
AWSLogs/123456789012/CloudTrail/loose.json.gz | - | 123456789012 | CloudTrail | - | - | - |
AWSLogs/123456789012/CloudTrail/us-east-1/2025/06/01/ | - | 123456789012 | CloudTrail | us-east-1 | 2025-06-01 | - |
AWSLogs/123456789012/Config/us-east-1/2025/6/1/x.json.gz | - | 123456789012 | OtherService | - | - | - |
AWSLogs/o-exampleorgid1/123456789012/vpcflowlogs/us-east-1/2025/06/01/x.log.gz | o-exampleorgid1 | 123456789012 | OtherService | - | - | - |
123456789012_CloudTrail_us-east-1_20251301T0000Z_abc.json.gz | - | 123456789012 | CloudTrail | us-east-1 | - | - |
123456789012_CloudTrail_us-east-1_2025é601T0000Z_abc.json.gz | - | 123456789012 | CloudTrail | us-east-1 | - | - |
AWSLogs/123456789012/handmade/x.json.gz | - | 123456789012 | Unknown | - | - | - |
AWSLogs/123456789012/CloudTrails/us-east-1/2025/06/01/x.json.gz | - | 123456789012 | Unknown | - | - | - |
myAWSLogs/123456789012/CloudTrail/us-east-1/2025/06/01/x.json.gz |
AWSLogs/12345678901/CloudTrail/us-east-1/2025/06/01/x.json.gz |
AWSLogs/123456789012/ |
AWSLogs/o-SHOUT/123456789012/CloudTrail/us-east-1/2025/06/01/x.json.gz |
12345678901é_CloudTrail_us-east-1_20140620T1255Z_x.json.gz |
123456789012_CloudTrail.json |
events.json.gz |
AWSLogs/ |
 |
";

#[test]
fn names_tell_what_they_tell() {
    for line in KEYS.lines().skip(1) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let key = columns[0];
        let found = ObjectKey::parse(key);
        if columns.len() == 2 {
            assert_eq!(found, None, "{key}");
            continue;
        }
        let found = found.unwrap_or_else(|| panic!("{key} does not parse"));
        let written = [
            found.organization.unwrap_or("-").to_owned(),
            found.account.to_owned(),
            format!("{:?}", found.kind),
            found.region.unwrap_or("-").to_owned(),
            found.date.map_or("-".to_owned(), |date| date.to_string()),
            found
                .stamp
                .map_or("-".to_owned(), |stamp| stamp.to_string()),
            found.prefix.to_owned(),
        ];
        assert_eq!(written, columns[1..], "{key}");
        let name = key.rsplit('/').next().unwrap();
        assert_eq!(found.file_name, name);
    }
    let flat = "123456789012_CloudTrail_us-west-1_20140620T1255Z_x.json.gz";
    assert_eq!(
        ObjectKey::parse(flat).unwrap().to_string(),
        "CloudTrail of account 123456789012 in us-west-1, delivered 2014-06-20"
    );
}

/// `since | until | date of the key | verdict`, with two days of lateness.
const DAYS: &str = "
2025-06-10T00:00:00Z | -                    | 2025-06-09 | before_since
2025-06-10T23:59:59Z | -                    | 2025-06-10 | admitted
-                    | 2025-06-11T00:00:00Z | 2025-06-10 | admitted
-                    | 2025-06-11T00:00:00Z | 2025-06-12 | admitted
-                    | 2025-06-11T00:00:00Z | 2025-06-13 | after_until
-                    | 2025-06-11T00:00:01Z | 2025-06-13 | admitted
2025-06-10T12:00:00Z | 2025-06-10T13:00:00Z | 2025-06-12 | admitted
2025-06-10T12:00:00Z | 2025-06-10T13:00:00Z | 2025-06-13 | after_until
-                    | -                    | 1999-01-01 | admitted
";

fn instant(text: &str) -> Option<Timestamp> {
    (text != "-").then(|| text.parse().unwrap())
}

fn verdict(selection: &Selection, key: &str) -> &'static str {
    match selection.admits(&ObjectKey::parse(key).unwrap()) {
        Ok(()) => "admitted",
        Err(reason) => reason.name(),
    }
}

#[test]
fn late_files_of_wanted_days_are_admitted() {
    for line in DAYS.lines().skip(1) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let selection = Selection {
            since: instant(columns[0]),
            until: instant(columns[1]),
            ..Selection::everything()
        };
        let day = columns[2].replace('-', "/");
        let key = format!("AWSLogs/123456789012/CloudTrail/us-east-1/{day}/x.json.gz");
        assert_eq!(verdict(&selection, &key), columns[3], "{line}");
    }
}

#[test]
fn each_reason_has_its_name() {
    let selection = Selection {
        accounts: vec!["123456789012".to_owned()],
        regions: vec!["us-east-1".to_owned()],
        since: instant("2025-06-10T00:00:00Z"),
        ..Selection::everything()
    };
    for (folders, expected) in [
        ("123456789012/CloudTrail/us-east-1/2025/06/10", "admitted"),
        ("123456789012/CloudTrail/us-east-1/2025/00/00", "admitted"),
        (
            "123456789012/CloudTrail/us-east-1/2024/00/00",
            "before_since",
        ),
        ("210987654321/CloudTrail/us-east-1/2025/06/10", "account"),
        ("123456789012/CloudTrail/us-east-2/2025/06/10", "region"),
        (
            "123456789012/CloudTrail-NetworkActivity/us-east-1/2025/06/10",
            "admitted",
        ),
        (
            "123456789012/CloudTrail-Insight/us-east-1/2025/06/10",
            "insight",
        ),
        (
            "123456789012/CloudTrail-Insight/us-east-1/2025/06/09",
            "before_since",
        ),
        (
            "123456789012/CloudTrail-Aggregated/us-east-1/2025/06/10",
            "aggregated",
        ),
        (
            "123456789012/CloudTrail-Digest/us-east-1/2025/06/10",
            "digest",
        ),
        (
            "123456789012/elasticloadbalancing/us-east-1/2025/06/10",
            "other_service",
        ),
    ] {
        let key = format!("AWSLogs/{folders}/x.json.gz");
        assert_eq!(verdict(&selection, &key), expected, "{key}");
    }
}

#[test]
fn instants_are_read() {
    let now: Timestamp = "2025-06-15T12:00:00Z".parse().unwrap();
    for (text, since, until) in [
        ("2025-06-01", "2025-06-01T00:00:00Z", "2025-06-02T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
        (
            "2025-06-01T01:00:00+02:00",
            "2025-05-31T23:00:00Z",
            "2025-05-31T23:00:00Z",
        ),
        ("-30d", "2025-05-16T12:00:00Z", "2025-05-16T12:00:00Z"),
        ("-12h", "2025-06-15T00:00:00Z", "2025-06-15T00:00:00Z"),
        ("-45m", "2025-06-15T11:15:00Z", "2025-06-15T11:15:00Z"),
        ("-2w", "2025-06-01T12:00:00Z", "2025-06-01T12:00:00Z"),
    ] {
        assert_eq!(parse_since(text, now).unwrap().to_string(), since, "{text}");
        assert_eq!(parse_until(text, now).unwrap().to_string(), until, "{text}");
    }
    for text in [
        "",
        "-",
        "-d",
        "-3",
        "-3y",
        "--3d",
        "-+3d",
        "-3é",
        "2025-02-30",
        "2025-6-1",
        "yesterday",
        "2025-06-01T12:00:00",
        "-99999999999999999999d",
        "-9999999999999d",
    ] {
        let error = parse_since(text, now).unwrap_err();
        assert!(error.to_string().contains(&format!("{text:?}")), "{text}");
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

async fn list(sources: &[String]) -> Listing {
    let sources = sources.iter().map(|text| Source::parse(text).unwrap());
    let archive = Archive::open(sources.collect(), S3Options::default());
    let listing = archive.list(&Selection::everything(), &|_| ()).await;
    let listing = listing.unwrap();
    let left_out: u64 = listing.out_of_selection.values().sum();
    assert_eq!(listing.listed, listing.objects.len() + left_out);
    listing
}

/// The listed paths below the folder.
fn names(listing: &Listing, folder: &TempDir) -> Vec<String> {
    let start = format!("{}/", folder.path().display());
    let objects = listing.objects.to_sorted_vec().unwrap();
    objects
        .iter()
        .map(|object| {
            object
                .uri
                .strip_prefix(&start)
                .unwrap_or(&object.uri)
                .to_owned()
        })
        .collect()
}

fn read(object: &ObjectRef, buffer: &mut Vec<u8>) -> Result<(), FetchError> {
    let archive = Archive::open(Vec::new(), S3Options::default());
    archive.read_local(&object.uri, object.size, buffer)
}

fn below(folder: &TempDir, rest: &str) -> String {
    format!("{}/{rest}", folder.path().display())
}

#[tokio::test]
async fn a_folder_gives_its_files_in_order() {
    let folder = TempDir::new().unwrap();
    let key = "AWSLogs/123456789012/CloudTrail/us-east-1/2025/06/01/x.json.gz";
    for name in [
        "b.json",
        "a/z.json",
        "a.json",
        "log.json.gz/inner",
        ".hidden",
        key,
    ] {
        write(folder.path(), name, name);
    }
    write(
        folder.path(),
        "AWSLogs/123456789012/CloudTrail-Digest/us-east-1/d.json.gz",
        "",
    );
    write(
        folder.path(),
        "c/123456789012_CloudTrail-Digest_us-east-1_t_us-east-1_20250601T000000Z.json.gz",
        "",
    );
    let listing = list(&[below(&folder, "")]).await;
    let expected = [
        ".hidden",
        key,
        "a.json",
        "a/z.json",
        "b.json",
        "log.json.gz/inner",
    ];
    assert_eq!(names(&listing, &folder), expected);
    assert_eq!(listing.out_of_selection.get("digest"), Some(&1));
    assert_eq!(listing.pruned_folders.get("digest"), Some(&1));
    assert!(listing.failures.is_empty());
    let objects = listing.objects.into_sorted_vec().unwrap();
    let object = &objects[1];
    assert_eq!(object.size, key.len() as u64);
    assert_eq!(object.kind, ObjectKind::CloudTrail);
    assert_eq!(object.date.unwrap().to_string(), "2025-06-01");
    assert_eq!(object.key().unwrap().account, "123456789012");
    assert_eq!(objects[0].kind, ObjectKind::Unknown);
}

#[tokio::test]
async fn patterns_choose_files_and_folders() {
    let folder = TempDir::new().unwrap();
    for name in [
        "logs/2025-05/a.gz",
        "logs/2025-06/x/y/b.gz",
        "logs/2025-06/c.json",
        "logs/2024-06/d.gz",
        "logs/[e].gz",
    ] {
        write(folder.path(), name, "");
    }
    for (pattern, expected) in [
        (
            "logs/2025-*/**/*.gz",
            &["logs/2025-05/a.gz", "logs/2025-06/x/y/b.gz"][..],
        ),
        ("logs/2025-*/*.gz", &["logs/2025-05/a.gz"]),
        (
            "logs/2025-0[67]",
            &["logs/2025-06/c.json", "logs/2025-06/x/y/b.gz"],
        ),
        (
            "logs/{2024-06,2025-05}/",
            &["logs/2024-06/d.gz", "logs/2025-05/a.gz"],
        ),
        ("logs/[e].gz", &["logs/[e].gz"]),
        ("logs/*.zip", &[]),
    ] {
        let listing = list(&[below(&folder, pattern)]).await;
        assert_eq!(names(&listing, &folder), expected, "{pattern}");
        assert!(listing.failures.is_empty());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_reached_twice_counts_once() {
    use std::os::unix::fs::symlink;
    let folder = TempDir::new().unwrap();
    write(folder.path(), "a/b/one.json", "1");
    write(folder.path(), "a/two.json", "2");
    symlink(folder.path(), folder.path().join("a/b/loop")).unwrap();
    symlink("b", folder.path().join("a/same")).unwrap();
    symlink("two.json", folder.path().join("a/zwei.json")).unwrap();
    let listing = list(&[
        below(&folder, "a"),
        below(&folder, "a/b/../two.json"),
        below(&folder, "a/*.json"),
    ])
    .await;
    assert_eq!(names(&listing, &folder), ["a/b/one.json", "a/two.json"]);
    // The link zwei.json, the second source, and both names of the third.
    assert_eq!(listing.out_of_selection.get("listed_twice"), Some(&4));
    assert!(listing.failures.is_empty(), "{:?}", listing.failures);
    assert!(listing.pruned_folders["listed_twice"] >= 2);
}

#[cfg(unix)]
#[tokio::test]
async fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    let folder = TempDir::new().unwrap();
    write(folder.path(), "good.json", "1");
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(b"bad\xff.json")), "").unwrap();
    let socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let listing = list(&[below(&folder, ""), below(&folder, "missing")]).await;
    drop(socket);
    assert_eq!(names(&listing, &folder), ["good.json"]);
    assert_eq!(listing.out_of_selection.get("not_regular_file"), Some(&1));
    let failures: Vec<String> = listing
        .failures
        .iter()
        .map(|failure| failure.place.clone())
        .collect();
    assert_eq!(
        failures,
        [
            below(&folder, "bad\u{fffd}.json"),
            below(&folder, "dangling"),
            below(&folder, "missing")
        ]
    );
    assert!(matches!(listing.failures[0].error, ListError::NameNotUtf8));
    assert!(matches!(listing.failures[2].error, ListError::NotFound(_)));
}

#[cfg(unix)]
#[tokio::test]
async fn closed_folders_and_files_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    write(folder.path(), "closed/inner.json", "1");
    write(folder.path(), "open.json", "1");
    let close = |name: &str, mode| {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    close("closed", 0);
    close("open.json", 0);
    if fs::read_dir(folder.path().join("closed")).is_ok() {
        println!("skipped: this user may read everything");
        return close("closed", 0o700);
    }
    let listing = list(&[below(&folder, "")]).await;
    assert_eq!(names(&listing, &folder), ["open.json"]);
    assert!(matches!(listing.failures[0].error, ListError::Denied(_)));
    let objects = listing.objects.into_sorted_vec().unwrap();
    let error = read(&objects[0], &mut Vec::new()).unwrap_err();
    assert!(matches!(error, FetchError::Denied { .. }));
    close("closed", 0o700);
}

#[tokio::test]
async fn files_are_read_as_they_were_listed() {
    let folder = TempDir::new().unwrap();
    for (name, text) in [
        ("a", "one"),
        ("b", ""),
        ("c", "grows"),
        ("d", "shrinks"),
        ("e", "goes"),
    ] {
        write(folder.path(), name, text);
    }
    let listing = list(&[below(&folder, "")]).await;
    write(folder.path(), "c", "grows!");
    write(folder.path(), "d", "shrin");
    fs::remove_file(folder.path().join("e")).unwrap();
    let mut buffer = b"left over".to_vec();
    let objects = listing.objects.into_sorted_vec().unwrap();
    let [a, b, c, d, e] = &objects[..] else {
        panic!()
    };
    read(a, &mut buffer).unwrap();
    assert_eq!(buffer, b"one");
    read(b, &mut buffer).unwrap();
    assert_eq!(buffer, b"");
    for object in [c, d] {
        let error = read(object, &mut buffer).unwrap_err();
        assert!(matches!(error, FetchError::Changed { .. }));
    }
    let error = read(e, &mut buffer).unwrap_err();
    assert!(matches!(&error, FetchError::Gone { uri } if **uri == *e.uri));
    let large = ObjectRef {
        size: MAX_OBJECT_BYTES + 1,
        ..a.clone()
    };
    let error = read(&large, &mut buffer).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("more than the limit of 1073741824"),
        "{error}"
    );
}

#[test]
fn sources_are_parsed() {
    let s3 = |text: &str| match Source::parse(text) {
        Ok(Source::S3 { bucket, prefix }) => (bucket, prefix),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(s3("s3://logs"), ("logs".into(), String::new()));
    assert_eq!(s3("s3://logs/a/b*"), ("logs".into(), "a/b*".into()));
    assert!(matches!(
        Source::parse("s3:///a"),
        Err(SourceError::NoBucket { .. })
    ));
    assert!(matches!(
        Source::parse("https://a/b"),
        Err(SourceError::UnknownScheme { .. })
    ));
    assert!(matches!(
        Source::parse("logs/[a"),
        Err(SourceError::Pattern { .. })
    ));
    assert!(matches!(Source::parse(""), Err(SourceError::Empty)));
    assert!(matches!(Source::parse("logs/a"), Ok(Source::Local(_))));
}
