//! Who is killed, cut off, not allowed or told to end.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// An executor is killed in the middle: its units are done by the other, once.
#[test]
fn an_executor_may_be_killed() {
    let mut site = Site::start(2);
    site.slow_down(Duration::from_millis(300));
    let running = begun(&mut site.convert("s3://lakes/killed", &[]));
    wait_for("receipts", || site.receipts("killed") >= 2);
    site.cluster.kill_executor(0);
    let killed = finished(running);
    assert_eq!(killed.code, 0, "{}", killed.stderr);
    let summary = killed.json();
    assert!(
        summary["cluster"]["retries"].as_u64() > Some(0),
        "{summary:#}"
    );
    assert_eq!(summary["cluster"]["done_here"], 0, "{summary:#}");
    site.server.set_faults(Faults::default());
    site.assert_same("alone", "killed");
}

/// The scheduler is killed: the client says so, and the same command goes on from the receipts.
#[test]
fn the_scheduler_may_be_killed() {
    let mut site = Site::start(2);
    site.slow_down(Duration::from_millis(300));
    let running = begun(&mut site.convert("s3://lakes/lost", &[]));
    wait_for("receipts", || site.receipts("lost") >= 2);
    site.cluster.restart_scheduler();
    let lost = finished(running);
    assert_eq!(lost.code, 1, "{}", lost.stderr);
    assert!(
        lost.stderr.contains("the same command goes on from there"),
        "{}",
        lost.stderr
    );
    site.server.set_faults(Faults::default());
    assert!(site.receipts("lost") >= 2);
    let again = ended(&mut site.convert("s3://lakes/lost", &[]));
    assert_eq!(again.code, 0, "{}", again.stderr);
    let resumed = again.json()["resumed_units"].as_u64().expect("a count");
    assert!((resumed as usize) < site.receipts("lost"), "{resumed}");
    site.assert_same("alone", "lost");
}

/// Told to end, the client cancels its job: executors stop fetching.
#[test]
fn an_interrupted_client_cancels_its_job() {
    let site = Site::start(2);
    site.slow_down(Duration::from_millis(500));
    let running = begun(&mut site.convert("s3://lakes/cancelled", &[]));
    wait_for("receipts", || site.receipts("cancelled") >= 1);
    send("-INT", &running);
    let cancelled = finished(running);
    assert_eq!(cancelled.code, 130, "{}", cancelled.stderr);
    // Units at hand end with their groups.
    let is_quiet = || {
        site.server.take_requests();
        std::thread::sleep(Duration::from_secs(2));
        site.server.take_requests().is_empty()
    };
    wait_for("end of the work", is_quiet);
    site.server.set_faults(Faults::default());
    let again = ended(&mut site.convert("s3://lakes/cancelled", &[]));
    assert_eq!(again.code, 0, "{}", again.stderr);
    site.assert_same("alone", "cancelled");
}

/// A killed client's executors see that nobody holds the lock, and begin no further unit.
#[test]
fn the_client_may_be_killed() {
    let mut cluster = Cluster::start();
    let folder = buckets();
    let server = S3Server::start(
        folder.path(),
        Faults {
            get_delay: Duration::from_millis(300),
            ..Faults::default()
        },
    );
    cluster.add(&server.environment());
    let lake = folder.path().join("local");
    let convert = |more: &[&str]| {
        let mut command = dynatrail();
        command
            .envs(server.environment())
            .args(["convert", "s3://trail-logs", "--lake", path(&lake)])
            .args(more);
        command
    };
    let address = cluster.address();
    let mut running = begun(&mut convert(&["--cluster", &address]));
    let receipts = || {
        let folder = lake.join("_dynatrail/receipts");
        fs::read_dir(folder).map_or(0, Iterator::count)
    };
    wait_for("receipts", || receipts() >= 1);
    kill(&mut running);
    let is_quiet = || {
        server.take_requests();
        std::thread::sleep(Duration::from_secs(2));
        server.take_requests().is_empty()
    };
    wait_for("end of the work", is_quiet);
    let done = receipts();
    let alone = folder.path().join("alone");
    server.set_faults(Faults::default());
    let again = ended(&mut convert(&["--cluster", &address]));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(done < receipts(), "the executor did not go on alone");
    let one = ended(dynatrail().envs(server.environment()).args([
        "convert",
        "s3://trail-logs",
        "--lake",
        path(&alone),
    ]));
    assert_eq!(one.code, 0, "{}", one.stderr);
    assert!(lake_files(&alone) == lake_files(&lake));
}

/// An executor that may not read S3 gives units back by its name, and others do them.
#[test]
fn an_executor_without_rights_is_named() {
    let mut site = Site::start(1);
    let mut environment = site.server.environment();
    environment[1].1 = "wrong".to_owned();
    site.cluster.add(&environment);
    let with = ended(&mut site.convert("s3://lakes/rights", &[]));
    assert_eq!(with.code, 0, "{}", with.stderr);
    let summary = with.json();
    let refusals = summary["cluster"]["refusals"].as_array().expect("a list");
    assert!(!refusals.is_empty(), "{summary:#}");
    for refusal in refusals {
        let words = refusal.as_str().expect("words");
        assert!(words.starts_with("executor 127.0.0.1:"), "{words}");
    }
    site.assert_same("alone", "rights");
}

/// What keeps a conversion to a few objects.
const A_DAY: [&str; 6] = [
    "--since",
    "2025-03-12",
    "--until",
    "2025-03-12",
    "--late",
    "0",
];

/// Has one machine convert them.
fn convert_a_day(site: &Site, lake: &str) -> Ended {
    let convert = ["convert", "s3://trail-logs", "--lake", lake];
    run_on(&site.server, &[&convert[..], &A_DAY].concat())
}

/// Where no executor can read S3 the client does the work, and says so.
#[test]
fn units_that_no_executor_converts_are_done_by_the_client() {
    let mut site = Site::start(0);
    let mut environment = site.server.environment();
    environment[3].1 = "http://127.0.0.1:1".to_owned();
    site.cluster.add(&environment);
    let alone = convert_a_day(&site, "s3://lakes/few");
    let here = ended(&mut site.convert("s3://lakes/here", &A_DAY));
    assert_eq!(here.code, alone.code, "{}", here.stderr);
    let summary = here.json();
    assert_eq!(
        summary["cluster"]["done_here"].as_u64(),
        Some(site.receipts("here") as u64),
        "{summary:#}"
    );
    site.assert_same("few", "here");
}

/// An executor whose disk is full leaves, and says why; the other does the work.
#[test]
fn an_executor_with_a_full_disk_leaves() {
    let mut site = Site::start(1);
    let small = site.cluster.work.path().join("small");
    fs::create_dir(&small).expect("created");
    let mount = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path(&small)];
    let mounted = Command::new("mount").args(mount).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: a small disk cannot be mounted here");
        return;
    }
    // No room is left from the beginning.
    let _ = fs::write(small.join("fill"), vec![1; 128 << 10]);
    let environment = site.server.environment();
    let mut executor = site.cluster.executor(&environment);
    let executor = begun(executor.args(["--work-dir", path(&small)]));
    std::thread::sleep(Duration::from_secs(3));
    let full = ended(&mut site.convert("s3://lakes/full", &[]));
    // Had it got no task it would not have left.
    let left = finished(executor);
    let unmounted = Command::new("umount").arg(&small).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(full.code, 0, "{}", full.stderr);
    assert_eq!(left.code, 1, "{}", left.stderr);
    assert!(
        left.stderr.contains("No space left on device"),
        "{}",
        left.stderr
    );
    site.assert_same("alone", "full");
    site.cluster.kill_executor(0);
}

/// Executors are waited for, which is told; a person can end that, and one that comes is given the
/// work.
#[test]
fn executors_are_waited_for() {
    let mut site = Site::start(0);
    let waiting = |name: &str, command: &mut Command| {
        let told = site.root.path().join(name);
        let stderr = fs::File::create(&told).expect("created");
        let running = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the binary runs");
        wait_for("word of it", || {
            fs::read_to_string(&told).is_ok_and(|told| told.contains("no executor of df://"))
        });
        running
    };
    let question = waiting(
        "question",
        dynatrail()
            .envs(site.server.environment())
            .args([
                "query",
                "SELECT access, count(*) AS n FROM operations GROUP BY 1",
            ])
            .args(["--lake", "s3://lakes/alone"])
            .args(["--cluster", &site.cluster.address()]),
    );
    send("-INT", &question);
    assert_eq!(finished(question).code, 130);

    let running = waiting("work", &mut site.convert("s3://lakes/waited", &[]));
    assert_eq!(site.receipts("waited"), 0);
    let environment = site.server.environment();
    site.cluster.add(&environment);
    let waited = finished(running);
    assert_eq!(waited.code, 0);
    assert_eq!(waited.json()["cluster"]["done_here"], 0);
    site.assert_same("alone", "waited");
}

/// An executor that is told to end gives to others what it has at hand, and removes no folder but its
/// own.
#[test]
fn an_executor_may_be_told_to_end() {
    let site = Site::start(1);
    let shared = TempDir::new().expect("a folder");
    let kept = shared.path().join("kept");
    let folders = || fs::read_dir(shared.path()).map_or(0, Iterator::count);
    fs::create_dir(&kept).expect("created");
    fs::write(kept.join("file"), b"of somebody").expect("written");
    let environment = site.server.environment();
    let mut leaving = site.cluster.executor(&environment);
    let leaving = begun(leaving.args(["--work-dir", path(shared.path())]));
    wait_for("its folder", || folders() == 2);
    for entry in fs::read_dir(shared.path()).expect("listed") {
        let entry = entry.expect("listed");
        if entry.file_name() != "kept" {
            let mode = entry.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "rows are for nobody else: {mode:o}");
        }
    }
    site.slow_down(Duration::from_millis(300));
    let running = begun(&mut site.convert("s3://lakes/told", &[]));
    wait_for("receipts", || site.receipts("told") >= 2);
    send("-TERM", &leaving);
    let left = finished(leaving);
    assert_eq!(left.code, 0, "{}", left.stderr);
    let told = finished(running);
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert_eq!(folders(), 1);
    assert!(kept.join("file").exists());
    site.server.set_faults(Faults::default());
    site.assert_same("alone", "told");
}

/// An executor whose scheduler is gone for long ends, and says so: whoever watches it starts it again.
#[test]
fn an_executor_ends_without_its_scheduler() {
    let mut cluster = Cluster::start();
    let executor = begun(&mut cluster.executor(&[]));
    std::thread::sleep(Duration::from_secs(3));
    kill(&mut cluster.scheduler);
    let ended = finished(executor);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("did not answer"), "{}", ended.stderr);
}

/// What no machine could read is read by the next run, though it has a receipt that says so.
#[test]
fn what_failed_is_read_again() {
    let site = Site::start(1);
    let alone = convert_a_day(&site, "s3://lakes/day");
    assert_eq!(alone.code, 0, "{}", alone.stderr);
    site.server.set_faults(Faults {
        denied_prefixes: denied(&site),
        ..Faults::default()
    });
    let denied = ended(&mut site.convert("s3://lakes/again", &A_DAY));
    assert_eq!(denied.code, 3, "{}", denied.stderr);
    assert!(denied.json()["cluster"]["done_here"].as_u64() > Some(0));
    site.server.set_faults(Faults::default());
    let again = ended(&mut site.convert("s3://lakes/again", &A_DAY));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(again.json()["cluster"]["done_here"], 0);
    site.assert_same("day", "again");
}

/// The keys of the sample's logs, each for itself: they may be listed, but not read.
fn denied(site: &Site) -> Vec<String> {
    let bucket = site.root.path().join("trail-logs");
    let logs = files(&bucket)
        .into_iter()
        .map(|(name, _)| path(&name).to_owned());
    logs.collect()
}
