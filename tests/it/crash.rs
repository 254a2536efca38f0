//! Runs that are killed at random points, again and again, and finished by later ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siphasher::sip::SipHasher13;

use crate::archive_made::{Archive, event};
use crate::product::{convert, dynatrail, files, path};
use crate::s3_server::{Faults, S3Server};

/// Points of a run over a lake in a folder, and over one in S3, at which it is killed.
const LOCAL_POINTS: u64 = 200;
const S3_POINTS: u64 = 50;

/// Kills of one lake before it is left to finish.
const KILLS_A_LAKE: u64 = 4;

/// Two nights: the second delivers late events and copies of the first's.
struct Nights {
    archive: Archive,
    /// The objects of the second night, with their bytes.
    second: Vec<(PathBuf, Vec<u8>)>,
}

impl Nights {
    fn new() -> Self {
        let archive = Archive::new();
        for day in 1..=8 {
            for object in 0..3 {
                let mut records: Vec<Value> = (0..30)
                    .map(|n| event(&format!("{day}-{object}-{n}"), day))
                    .collect();
                // Copies within the night, in another unit.
                records.push(event(
                    &format!("{}-1-7", (day - 1).max(1)),
                    (day - 1).max(1),
                ));
                records.push(json!({"eventName": "no version"}));
                archive.object("111122223333", day, &format!("a{object}"), &records);
            }
        }
        let first = files(&archive.root());
        for day in 2..=9 {
            let copies: Vec<Value> = (0..30)
                .map(|n| event(&format!("{}-2-{n}", day - 1), day - 1))
                .chain([event(&format!("late-{day}"), day - 1)])
                .collect();
            // Names that sort before the first night's, so that its copies are those that go.
            archive.object("011122223333", day, "late", &copies);
        }
        let mut second = files(&archive.root());
        second.retain(|file| !first.contains(file));
        for (name, _) in &second {
            fs::remove_file(archive.root().join(name)).expect("removed");
        }
        Self { archive, second }
    }

    fn deliver_second(&self, root: &Path) {
        for (name, bytes) in &self.second {
            let file = root.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("created");
            fs::write(file, bytes).expect("written");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let file = to.join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("created");
        fs::write(file, bytes).expect("written");
    }
}

/// A number from 0 to 1 that follows from a seed.
fn draw(seed: u64) -> f64 {
    let hash = SipHasher13::new_with_keys(0, seed).hash(b"point");
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Kills runs at points of the time that an undisturbed one takes, which is less on a machine that has
/// become less busy.
struct Killer {
    whole: Duration,
    killed: u64,
}

impl Killer {
    /// Starts a run and kills it at a share of the time of a whole one.
    fn kill(&mut self, command: &mut Command, share: f64) {
        let begun = Instant::now();
        let wait = self.whole.mul_f64(share);
        let mut running = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        while begun.elapsed() < wait {
            if running.try_wait().expect("it can be asked").is_some() {
                self.whole = self.whole.min(begun.elapsed());
                return;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        running.kill().expect("killed");
        running.wait().expect("it ends");
        self.killed += 1;
    }
}

/// The lake's files by name, without those of multipart uploads that nobody finished.
fn lake_files(lake: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files(lake).into_iter();
    let is_hidden = |name: &Path| {
        let name = name.file_name().expect("a name").to_string_lossy();
        name.starts_with('.')
    };
    files.filter(|(name, _)| !is_hidden(name)).collect()
}

fn assert_same(found: &Path, expected: &Path, seed: u64) {
    let (found, expected) = (lake_files(found), lake_files(expected));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "seed {seed}");
    for (name, bytes) in &found {
        assert!(
            *bytes == expected[name],
            "seed {seed}: {} differs",
            name.display()
        );
    }
}

/// `kill -9` at any moment, and the same command again, gives the bytes of an undisturbed run.
#[test]
fn a_run_killed_at_any_point_is_finished_to_the_same_bytes() {
    let nights = Nights::new();
    let root = nights.archive.root();
    let first = nights.archive.lake("first");
    convert(&root, &first, &[]);
    let first_root = nights.archive.lake("first-archive");
    copy(&root, &first_root);
    nights.deliver_second(&root);
    let second = nights.archive.lake("second");
    copy(&first, &second);
    let begun = Instant::now();
    let (_, summary) = convert(&root, &second, &[]);
    let mut killer = Killer {
        whole: begun.elapsed(),
        killed: 0,
    };
    assert!(
        summary["records"]["duplicate"].as_u64() > Some(200),
        "{summary:#}"
    );

    for lake_seed in 0..LOCAL_POINTS / KILLS_A_LAKE {
        // Half of the lakes begin with the second night, half with none.
        let lake = nights.archive.lake("broken");
        let _ = fs::remove_dir_all(&lake);
        let is_second = lake_seed % 2 == 0;
        if is_second {
            copy(&first, &lake);
        }
        let source = if is_second { &root } else { &first_root };
        for kill in 0..KILLS_A_LAKE {
            let mut command = dynatrail();
            command.args(["convert", path(source), "--lake", path(&lake)]);
            killer.kill(&mut command, draw(lake_seed * KILLS_A_LAKE + kill));
        }
        convert(source, &lake, &[]);
        if is_second {
            assert_same(&lake, &second, lake_seed);
        } else {
            // The names of objects are part of the lake: the folder is another one.
            let undisturbed = nights.archive.lake("undisturbed");
            if !undisturbed.exists() {
                convert(&first_root, &undisturbed, &[]);
            }
            assert_same(&lake, &undisturbed, lake_seed);
        }
    }
    assert!(
        killer.killed > LOCAL_POINTS / 3,
        "only {} runs were killed before their end",
        killer.killed
    );
}

/// The same with a lake in S3, where a killed run leaves its lock and its uploads behind.
#[test]
fn a_run_killed_over_s3_is_finished_to_the_same_bytes() {
    let nights = Nights::new();
    let root = tempfile::tempdir().expect("temp folder");
    let bucket = root.path().join("trail-logs");
    copy(&nights.archive.root(), &bucket);
    nights.deliver_second(&bucket);
    fs::create_dir(root.path().join("lakes")).expect("created");
    let server = S3Server::start(root.path(), Faults::default());
    let convert_to = |lake: &str| {
        let mut command = dynatrail();
        command.envs(server.environment());
        command.args(["convert", "s3://trail-logs/", "--lake", lake]);
        command
    };
    let run = |lake: &str| {
        let output = convert_to(lake).output().expect("the binary runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
    };
    let begun = Instant::now();
    run("s3://lakes/whole");
    let mut killer = Killer {
        whole: begun.elapsed(),
        killed: 0,
    };
    for lake_seed in 0..S3_POINTS / KILLS_A_LAKE + 1 {
        let lake = format!("s3://lakes/broken-{lake_seed}");
        for kill in 0..KILLS_A_LAKE {
            killer.kill(
                &mut convert_to(&lake),
                draw(1000 + lake_seed * KILLS_A_LAKE + kill),
            );
        }
        run(&lake);
        let lakes = root.path().join("lakes");
        assert_same(
            &lakes.join(format!("broken-{lake_seed}")),
            &lakes.join("whole"),
            lake_seed,
        );
    }
    assert!(
        killer.killed > S3_POINTS / 3,
        "only {} runs were killed before their end",
        killer.killed
    );
}
