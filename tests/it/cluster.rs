//! A scheduler and executors as processes of the built binary, on loopback, over a real S3 API: what
//! a cluster writes and answers is what one machine does, whoever is killed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::convert_s3::{buckets, run_on, sample};
use crate::product::{Ended, dynatrail, files, path};
use crate::s3_server::{Faults, S3Server};

mod faults;
mod statements;
mod within;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long anything may take, on a slow machine.
const LONGEST: Duration = Duration::from_secs(1200);

/// The shortest time that a scheduler waits for a sign of life.
const EXECUTOR_TIMEOUT: &str = "8";

/// A server with the sample, a lake that one machine has written, and a cluster.
struct Site {
    root: TempDir,
    server: S3Server,
    cluster: Cluster,
}

impl Site {
    fn start(executors: usize) -> Self {
        let root = buckets();
        let server = S3Server::start(root.path(), Faults::default());
        let ended = run_on(
            &server,
            &["convert", "s3://trail-logs", "--lake", "s3://lakes/alone"],
        );
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let mut cluster = Cluster::start();
        for _ in 0..executors {
            cluster.add(&server.environment());
        }
        Self {
            root,
            server,
            cluster,
        }
    }

    /// A conversion by the cluster, with a summary in JSON.
    fn convert(&self, lake: &str, more: &[&str]) -> Command {
        let mut command = dynatrail();
        command
            .envs(self.server.environment())
            .args(["convert", "s3://trail-logs", "--lake", lake])
            .args(["--summary", "json", "--cluster", &self.cluster.address()])
            .args(more);
        command
    }

    fn slow_down(&self, delay: Duration) {
        self.server.set_faults(Faults {
            get_delay: delay,
            delayed_prefix: "AWSLogs".to_owned(),
            ..Faults::default()
        });
    }

    fn lake(&self, name: &str) -> PathBuf {
        self.root.path().join("lakes").join(name)
    }

    fn receipts(&self, lake: &str) -> usize {
        let folder = self.lake(lake).join("_dynatrail/receipts");
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    /// Byte for byte, but for who held the lock.
    fn assert_same(&self, one: &str, other: &str) {
        let (one, other) = (lake_files(&self.lake(one)), lake_files(&self.lake(other)));
        let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&one), names(&other));
        for ((name, bytes), (_, others)) in one.iter().zip(&other) {
            assert!(bytes == others, "{} differs", name.display());
        }
    }
}

/// A scheduler and its executors; they end with it.
struct Cluster {
    port: u16,
    scheduler: Child,
    executors: Vec<Child>,
    work: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        Self {
            port,
            scheduler: scheduler(port),
            executors: Vec::new(),
            work: TempDir::new().expect("a folder"),
        }
    }

    fn address(&self) -> String {
        format!("df://127.0.0.1:{}", self.port)
    }

    /// What starts an executor of this cluster with an environment.
    fn executor(&self, environment: &[(&'static str, String)]) -> Command {
        let mut command = dynatrail();
        command
            .envs(environment.iter().cloned())
            .args(["cluster", "executor", "--scheduler", &self.address()])
            .args(["--port", "0", "--task-port", "0", "--threads", "1"])
            .args(["--slots", "3"]);
        command
    }

    fn add(&mut self, environment: &[(&'static str, String)]) {
        let executor = self
            .executor(environment)
            .args(["--work-dir", path(self.work.path())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("an executor starts");
        self.executors.push(executor);
    }

    fn kill_executor(&mut self, number: usize) {
        kill(&mut self.executors[number]);
    }

    fn restart_scheduler(&mut self) {
        kill(&mut self.scheduler);
        self.scheduler = scheduler(self.port);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        kill(&mut self.scheduler);
        self.executors.iter_mut().for_each(kill);
    }
}

/// The files of a lake, but for who wrote to it last.
fn lake_files(lake: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = files(lake);
    files.retain(|(name, _)| !name.ends_with("lock"));
    files
}

fn kill(process: &mut Child) {
    // One that has ended cannot be killed.
    let _ = process.kill();
    process.wait().expect("it has ended");
}

/// Starts a scheduler and waits until it listens.
fn scheduler(port: u16) -> Child {
    let place = format!("127.0.0.1:{port}");
    let process = dynatrail()
        .args(["cluster", "scheduler", "--listen", &place])
        .args(["--executor-timeout", EXECUTOR_TIMEOUT])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a scheduler starts");
    wait_for("the scheduler", || {
        std::net::TcpStream::connect(&place).is_ok()
    });
    process
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_there() {
        assert!(begun.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ended(command: &mut Command) -> Ended {
    finished(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs"),
    )
}

/// What a process said; one that stands still is killed, so that the test fails.
fn finished(process: Child) -> Ended {
    let pid = process.id().to_string();
    let (ended, waits) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if waits.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
            // It may just have ended.
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    });
    let output = process.wait_with_output().expect("it ends");
    drop(ended);
    watch.join().expect("it waits");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn begun(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

fn send(signal: &str, process: &Child) {
    let pid = process.id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status();
    assert!(sent.expect("kill runs").success());
}

/// Units by executor.
fn units(summary: &Value) -> Vec<u64> {
    let executors = summary["cluster"]["executors"].as_object();
    let shares = executors.expect("executors are named").values();
    shares
        .map(|share| share["units"].as_u64().expect("a count"))
        .collect()
}

/// A lake that a cluster has converted is byte for byte the one that a single machine writes,
/// whatever the number of executors; the summary says who did what.
#[test]
fn a_cluster_writes_the_same_lake() {
    let mut site = Site::start(2);
    let two = ended(&mut site.convert("s3://lakes/two", &[]));
    assert_eq!(two.code, 0, "{}", two.stderr);
    let summary = two.json();
    let receipts = site.receipts("two") as u64;
    assert_eq!(units(&summary).iter().sum::<u64>(), receipts);
    assert_eq!(units(&summary).len(), 2, "both had work: {summary:#}");
    assert_eq!(summary["cluster"]["done_here"], 0);
    assert_eq!(summary["cluster"]["refusals"], Value::Array(Vec::new()));
    site.assert_same("alone", "two");

    site.cluster.kill_executor(1);
    let one = ended(&mut site.convert("s3://lakes/one", &[]));
    assert_eq!(one.code, 0, "{}", one.stderr);
    site.assert_same("alone", "one");

    // Once more: there is nothing to do, and nobody is asked.
    let again = ended(&mut site.convert("s3://lakes/two", &[]));
    assert_eq!(again.json()["objects"]["converted"], 0);
    site.assert_same("alone", "two");
}

/// A lake in a folder that all machines share.
#[test]
fn a_folder_is_written_as_well() {
    let mut cluster = Cluster::start();
    cluster.add(&[]);
    cluster.add(&[]);
    let folder = TempDir::new().expect("a folder");
    let lake = folder.path().join("lake");
    let alone = folder.path().join("alone");
    let source = sample();
    for (lake, more) in [
        (&alone, vec![]),
        (&lake, vec!["--cluster".to_owned(), cluster.address()]),
    ] {
        let ended = ended(
            dynatrail()
                .args(["convert", path(&source), "--lake", path(lake)])
                .args(more),
        );
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    assert!(lake_files(&alone) == lake_files(&lake));
}
