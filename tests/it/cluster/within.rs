//! Scheduler and executor within this process, and what is refused before anything is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dynatrail::archive::S3Options;
use dynatrail::cluster::{
    Client, ClusterError, ExecutorOptions, SchedulerOptions, Site as ExecutorSite, serve_executor,
    serve_scheduler,
};
use dynatrail::lake::Store;

use super::*;

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("bound").port()
}

/// The library's own scheduler and executor do what the processes do.
#[test]
fn a_cluster_within_one_process() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    runtime.spawn(serve_scheduler(SchedulerOptions {
        listen: listen.parse().expect("an address"),
        advertise: "127.0.0.1".to_owned(),
        executor_timeout: Duration::from_secs(20),
    }));
    wait_for("the scheduler", || {
        std::net::TcpStream::connect(&listen).is_ok()
    });
    let folder = TempDir::new().expect("a folder");
    let open = Box::new(|place: &str| Ok(Store::local(place)));
    let handle = runtime.handle().clone();
    let site = ExecutorSite::new("within", open, S3Options::default(), handle, 2);
    let options = ExecutorOptions {
        scheduler: listen.parse().expect("an address"),
        listen: "127.0.0.1".to_owned(),
        advertise: "127.0.0.1".to_owned(),
        port: free_port(),
        task_port: free_port(),
        slots: 2,
        work_dir: folder.path().join("work"),
        memory_limit_bytes: 256 << 20,
    };
    runtime.spawn(serve_executor(options, Arc::new(site)));
    let source = sample();
    let convert = |lake: &str, more: &[&str]| {
        let lake = folder.path().join(lake);
        let ended = ended(
            dynatrail()
                .args(["convert", path(&source), "--lake", path(&lake)])
                .args(["--summary", "json"])
                .args(more),
        );
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        (ended.json(), lake_files(&lake))
    };
    let (_, alone) = convert("alone", &[]);
    let address = format!("df://{listen}");
    let (summary, cluster) = convert("cluster", &["--cluster", &address]);
    assert!(summary["cluster"]["executors"]["within"]["units"].as_u64() > Some(0));
    assert!(alone == cluster);
}

/// Executors are waited for no longer than there is time.
#[test]
fn waiting_ends_with_the_time_there_is() {
    let cluster = Cluster::start();
    let address = cluster.address().parse().expect("an address");
    let client = Client::new(address, |_| ());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let interrupted = AtomicBool::new(false);
    let soon = Instant::now() + Duration::from_secs(1);
    let waited = runtime.block_on(client.wait_for_executor(Some(soon), &interrupted));
    assert!(!waited.expect("time was over"));
    assert!(Instant::now() >= soon);
    interrupted.store(true, Ordering::Relaxed);
    let waited = runtime.block_on(client.wait_for_executor(None, &interrupted));
    assert!(matches!(waited, Err(ClusterError::Interrupted)));
}

/// Listening to others is said explicitly.
#[test]
fn nobody_else_is_listened_to_unasked() {
    for arguments in [
        &["cluster", "scheduler", "--listen", "0.0.0.0:0"][..],
        &[
            "cluster",
            "executor",
            "--scheduler",
            "a:1",
            "--listen",
            "0.0.0.0",
        ][..],
    ] {
        let ended = ended(dynatrail().args(arguments));
        assert_eq!(ended.code, 1);
        assert!(
            ended.stderr.contains("no authentication"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("--trust-network"), "{}", ended.stderr);
    }
}

/// A place that means another folder to each process is refused; that nobody is there is told at
/// once.
#[test]
fn what_cannot_work_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let cluster = Cluster::start();
    let convert = |source: &str, address: &str| {
        ended(
            dynatrail()
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .args(["convert", source, "--cluster", address])
                .args(["--lake", path(&folder.path().join("lake"))]),
        )
    };
    let relative = convert("sample-data/archive", &cluster.address());
    assert_eq!(relative.code, 1);
    assert!(
        relative.stderr.contains("must be a full path"),
        "{}",
        relative.stderr
    );
    let nobody = convert(path(&sample()), "df://127.0.0.1:1");
    assert_eq!(nobody.code, 1);
    assert!(
        nobody
            .stderr
            .contains("no scheduler answers at df://127.0.0.1:1")
    );
    let wrong = convert(path(&sample()), "http://127.0.0.1:1");
    assert_eq!(wrong.code, 2);
}
