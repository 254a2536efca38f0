//! One run at a time writes to a lake; no crash leaves it locked.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::archive_made::{Archive, event};
use crate::product::{Ended, dynatrail, files, path};
use crate::s3_server::{Faults, S3Server};

/// A bucket with an archive, and a server that is slow to hand it out.
struct Slow {
    root: tempfile::TempDir,
    server: S3Server,
}

impl Slow {
    fn new() -> Self {
        let archive = Archive::new();
        for day in 1..=3 {
            archive.object("111122223333", day, "a", &[event(&format!("{day}"), day)]);
        }
        let root = tempfile::tempdir().expect("temp folder");
        for (name, bytes) in files(&archive.root()) {
            let file = root.path().join("trail-logs").join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("created");
            fs::write(file, bytes).expect("written");
        }
        fs::create_dir(root.path().join("lakes")).expect("created");
        let server = S3Server::start(root.path(), Faults::default());
        Self { root, server }
    }

    fn delay(&self, get_delay: Duration) {
        self.server.set_faults(Faults {
            get_delay,
            delayed_prefix: "AWSLogs/".to_owned(),
            ..Faults::default()
        });
    }

    fn command(&self, lake: &str) -> Command {
        let mut command = dynatrail();
        command.envs(self.server.environment());
        command.args(["convert", "s3://trail-logs/", "--lake", lake, "--quiet"]);
        command
    }

    fn run(&self, lake: &str) -> Ended {
        let output = self.command(lake).output().expect("the binary runs");
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a run that has the lock and waits for its objects.
    fn holder(&self, lake: &str, lock: &Path) -> Child {
        self.delay(Duration::from_secs(300));
        let running = self.command(lake).stderr(Stdio::null()).spawn();
        let running = running.expect("the binary runs");
        let begun = Instant::now();
        let is_waiting = || {
            let mut requests = self.server.take_requests().into_iter();
            requests.any(|seen| seen.is_get() && seen.key.starts_with("AWSLogs/"))
        };
        while !fs::read(lock).is_ok_and(|text| !text.is_empty()) || !is_waiting() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no lock is taken"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.delay(Duration::ZERO);
        running
    }
}

/// Two runs on one lake: one works, the other says who holds it and leaves.
fn check(slow: &Slow, lake: &str, lock: &Path) {
    let mut running = slow.holder(lake, lock);
    let ended = slow.run(lake);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let holder = format!("is being written by process {} on ", running.id());
    assert!(ended.stderr.contains(&holder), "{}", ended.stderr);
    running.kill().expect("killed");
    running.wait().expect("it ends");
    assert!(
        !fs::read(lock).expect("a lock").is_empty(),
        "a killed run cannot give it back"
    );
    let begun = Instant::now();
    let ended = slow.run(lake);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "it does not wait for a dead process"
    );
    assert!(
        fs::read(lock).expect("a lock").is_empty(),
        "a run that ends gives it back"
    );
}

#[test]
fn a_lake_in_a_folder_is_written_by_one_run() {
    let slow = Slow::new();
    let lake = slow.root.path().join("local-lake");
    check(&slow, path(&lake), &lake.join("_dynatrail/lock"));
}

#[test]
fn a_lake_in_s3_is_written_by_one_run() {
    let slow = Slow::new();
    let lock = slow.root.path().join("lakes/one/_dynatrail/lock");
    check(&slow, "s3://lakes/one", &lock);
}

/// The lock of a run on another machine, as this one sees it.
fn foreign(renewals: u64) -> String {
    format!(
        r#"{{"host":"elsewhere","pid":7,"since":"2025-03-12T02:00:00Z","process":{{"boot":"b","namespace":"pid:[1]","started_ticks":1}},"renewals":{renewals}}}"#
    )
}

/// What another machine holds and renews is not taken from it.
#[test]
fn a_lock_that_is_renewed_elsewhere_is_respected() {
    let slow = Slow::new();
    let lock = slow.root.path().join("lakes/one/_dynatrail/lock");
    fs::create_dir_all(lock.parent().expect("a folder")).expect("created");
    fs::write(&lock, foreign(1)).expect("written");
    let mut running = slow.command("s3://lakes/one");
    let mut running = running
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    for renewals in 2.. {
        std::thread::sleep(Duration::from_millis(500));
        fs::write(&lock, foreign(renewals)).expect("written");
        if running.try_wait().expect("it can be asked").is_some() || renewals > 100 {
            break;
        }
    }
    let output = running.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("process 7 on elsewhere since 2025-03-12T02:00:00Z"),
        "{stderr}"
    );
}

/// What another machine has left behind is nobody's after a while.
#[test]
fn a_lock_that_is_not_renewed_elsewhere_runs_out() {
    let slow = Slow::new();
    let lock = slow.root.path().join("lakes/one/_dynatrail/lock");
    fs::create_dir_all(lock.parent().expect("a folder")).expect("created");
    fs::write(&lock, foreign(1)).expect("written");
    let begun = Instant::now();
    let ended = slow.run("s3://lakes/one");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(begun.elapsed() >= dynatrail::lake::lock::LEASE);
}

/// A server that loses its answers, also those to conditional writes, costs no run its lock.
#[test]
fn lost_answers_do_not_lose_the_lock() {
    let slow = Slow::new();
    for seed in 0..4 {
        slow.server.set_faults(Faults {
            seed,
            lost_answers: 0.3,
            ..Faults::default()
        });
        let ended = slow.run(&format!("s3://lakes/{seed}"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
}
