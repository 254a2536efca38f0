//! What `docs/nightly.md` and `docs/deploy/` tell people to run is what the program takes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::product::{files, path};

pub fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

pub fn read(name: &str) -> String {
    std::fs::read_to_string(docs().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Says that something is not there, which is no matter but where everything must be.
pub fn skipped(what: &str) {
    assert!(std::env::var("CI").is_err(), "{what}");
    println!("skipped: {what}");
}

/// The words of a command line as a shell takes them: quotes, and a backslash before a line's end.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let line = line.replace("\\\n", " ");
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The commands of the blocks of shell on a page; a `#` begins a comment.
pub fn shell_lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in page.split("```sh\n").skip(1) {
        let (block, _) = block.split_once("```").expect("blocks end");
        let block = block.replace("\\\n", " ");
        for line in block.lines() {
            lines.push(line.split(" #").next().unwrap_or(line).to_owned());
        }
    }
    lines
}

/// From `dynatrail` on, up to what the shell does with its output.
pub fn of_dynatrail(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let start = words
        .iter()
        .position(|word| word.rsplit('/').next() == Some("dynatrail"))?;
    let rest = &words[start..];
    let ends = |word: &&String| matches!(word.as_str(), ">>" | ">" | "|" | "||" | "&&" | "2>&1");
    Some(
        rest.iter()
            .take_while(|word| !ends(word))
            .cloned()
            .collect(),
    )
}

/// Holds a command line against the program's own parser.
pub fn accepts(command: &[String], from: &str) {
    let program = dynatrail::cli::command();
    let is_of_cluster = command.iter().any(|word| word.starts_with("--cluster"));
    if !cfg!(feature = "cluster") && (is_of_cluster || command[1] == "cluster") {
        println!(
            "skipped: built without the feature cluster: {}",
            command.join(" ")
        );
        return;
    }
    if let Err(error) = program.try_get_matches_from(command) {
        panic!("{from}: {}: {error}", command.join(" "));
    }
}

/// Every command line of the page is accepted by the program.
#[test]
fn the_page_tells_what_the_program_takes() {
    let page = read("nightly.md");
    let lines = shell_lines(&page);
    let mut count = 0;
    for line in lines.iter().filter(|line| line.starts_with("dynatrail ")) {
        accepts(&of_dynatrail(line).expect("it begins so"), "nightly.md");
        count += 1;
    }
    assert!(count >= 9, "{count} commands");
    let in_container = lines
        .iter()
        .find(|line| line.starts_with("docker run"))
        .expect("one");
    let (_, arguments) = in_container
        .split_once("dynatrail:0.1.0 ")
        .expect("the image");
    accepts(&words(&format!("dynatrail {arguments}")), "docker run");
}

/// Every file of `docs/deploy` is named on its page, and every one that the page names is there.
#[test]
fn the_page_names_every_file() {
    let page = read("nightly.md");
    let mut named = Vec::new();
    for (file, _) in files(&docs().join("deploy")) {
        let file = path(&file).to_owned();
        // Those have a page of their own.
        if file.starts_with("cluster/") {
            continue;
        }
        if file != "Dockerfile.dockerignore" {
            assert!(page.contains(&file), "{file}");
        }
        named.push(file);
    }
    links_lead_somewhere("nightly.md");
    assert!(named.len() >= 9);
}

/// Every link of a page of ours leads to a file, and to a heading where it names one.
pub fn links_lead_somewhere(name: &str) {
    let page = read(name);
    for link in page.split("](").skip(1) {
        let (target, _) = link.split_once(')').expect("links end");
        if target.starts_with("https://") {
            continue;
        }
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        assert!(docs().join(file).exists(), "{name}: {target}");
        let headings = || read(file).lines().any(|line| is_heading(line, heading));
        assert!(heading.is_empty() || headings(), "{name}: {target}");
    }
}

/// Whether a line is the heading that a link names.
fn is_heading(line: &str, name: &str) -> bool {
    let text = line.trim_start_matches('#');
    let text_name = text
        .trim()
        .to_lowercase()
        .replace(' ', "-")
        .replace('.', "");
    text.len() < line.len() && text_name == name
}

pub fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|word| word.as_str().expect("a text").to_owned())
        .collect()
}

pub fn command_of(arguments: &Value) -> Vec<String> {
    [vec!["dynatrail".to_owned()], strings(arguments)].concat()
}

#[test]
fn the_manifests_of_aws_are_json() {
    let json = |name: &str| -> Value {
        serde_json::from_str(&read(&format!("deploy/{name}")))
            .unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let task = json("ecs-task.json");
    let container = &task["containerDefinitions"][0];
    accepts(&command_of(&container["command"]), "ecs-task.json");
    assert_eq!(container["readonlyRootFilesystem"], true);
    // Mounted is what is a volume.
    let volumes: Vec<&Value> = task["volumes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|v| &v["name"])
        .collect();
    for mount in container["mountPoints"].as_array().expect("a list") {
        assert!(volumes.contains(&&mount["sourceVolume"]), "{mount}");
    }
    // A user who is not root can write to a mounted disk where the image has a volume.
    assert_ne!(container["user"], "0:0");
    let spilled_to = container["environment"][0]["value"]
        .as_str()
        .expect("TMPDIR");
    let mounted = container["mountPoints"].as_array().expect("a list").iter();
    assert!(
        mounted
            .into_iter()
            .any(|mount| mount["containerPath"] == spilled_to)
    );
    let image = read("deploy/Dockerfile");
    assert!(image.contains(&format!("\nVOLUME [\"{spilled_to}\"]\n")));
    let schedule = json("eventbridge-schedule.json");
    let family = task["family"].as_str().expect("a name");
    let started = schedule["Target"]["EcsParameters"]["TaskDefinitionArn"]
        .as_str()
        .expect("an ARN");
    assert!(started.ends_with(&format!("task-definition/{family}")));
    json("lake-lifecycle.json");

    let page = read("nightly.md");
    // What a schedule does by itself its role must be allowed to.
    assert!(schedule["Target"]["DeadLetterConfig"]["Arn"].is_string());
    for action in ["ecs:RunTask", "iam:PassRole", "sqs:SendMessage"] {
        assert!(page.contains(&format!("`{action}`")), "{action}");
    }
    for statement in json("iam-policy.json")["Statement"]
        .as_array()
        .expect("a list")
    {
        let id = statement["Sid"].as_str().expect("a name");
        assert!(page.contains(id), "{id} is not explained");
        let actions = match &statement["Action"] {
            Value::String(action) => vec![action.clone()],
            list => strings(list),
        };
        assert!(actions.iter().all(|action| !action.contains('*')), "{id}");
        // The archive is only read.
        let resource = statement["Resource"].as_str().expect("an ARN");
        if resource.contains("my-trail-bucket") {
            assert!(
                actions
                    .iter()
                    .all(|a| a == "s3:GetObject" || a == "s3:ListBucket"),
                "{id}"
            );
        }
    }
}

#[test]
fn the_cron_line_runs_the_program() {
    let cron = read("deploy/cron");
    let jobs: Vec<&str> = cron
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert_eq!(jobs.len(), 1);
    let (_, command) = jobs[0]
        .split_once("&& ")
        .expect("it changes the folder first");
    accepts(&of_dynatrail(command).expect("dynatrail"), "cron");
    // In a crontab a percent sign ends the line.
    assert!(!jobs[0].contains('%'));
}

/// systemd itself takes the units, and finds little that the service could reach.
#[test]
fn systemd_takes_the_units() {
    let service = read("deploy/dynatrail-nightly.service");
    let start = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .expect("a command");
    accepts(&of_dynatrail(start).expect("dynatrail"), "the service");
    let timer = read("deploy/dynatrail-nightly.timer");
    assert!(timer.contains("Unit=dynatrail-nightly.service"));
    let folder = tempfile::tempdir().expect("temp folder");
    let built = env!("CARGO_BIN_EXE_dynatrail");
    let service = service.replace("/usr/local/bin/dynatrail", built);
    let units = [
        ("dynatrail-nightly.service", service),
        ("dynatrail-nightly.timer", timer),
    ];
    for (name, text) in &units {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let run = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze")
            .args(arguments)
            .current_dir(folder.path())
            .output();
        let output = output.ok()?;
        let told = [output.stdout, output.stderr].concat();
        Some((
            output.status.success(),
            String::from_utf8_lossy(&told).into_owned(),
        ))
    };
    let Some((is_fine, told)) = run(&[
        "verify",
        "dynatrail-nightly.service",
        "dynatrail-nightly.timer",
    ]) else {
        // Not where everything else must be either: a container has none.
        println!("skipped: no systemd-analyze");
        return;
    };
    // Units of the machine itself are no matter of ours.
    let ours: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("dynatrail"))
        .collect();
    assert!(ours.is_empty(), "{told}");
    assert!(is_fine || !told.contains("dynatrail"), "{told}");
    let threshold = [
        "security",
        "--offline=true",
        "--threshold=20",
        "dynatrail-nightly.service",
    ];
    let (is_fine, told) = run(&threshold).expect("it ran before");
    // Older versions cannot look at files.
    assert!(is_fine || told.contains("unrecognized option"), "{told}");
}

/// The documents of a YAML file; none where nothing here reads YAML.
pub fn yaml(name: &str) -> Option<Vec<Value>> {
    let Ok(python) = std::env::var("DYNATRAIL_PYTHON") else {
        skipped("DYNATRAIL_PYTHON names no Python with PyYAML");
        return None;
    };
    let script =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output = Command::new(python)
        .args(["-c", script, path(&docs().join(name))])
        .output()
        .expect("Python runs");
    let told = String::from_utf8_lossy(&output.stderr);
    if told.contains("No module named 'yaml'") {
        skipped("Python has no PyYAML");
        return None;
    }
    assert!(output.status.success(), "{name}: {told}");
    Some(serde_json::from_slice(&output.stdout).expect("a list in JSON"))
}

/// The CronJob is YAML, never overlaps itself, leaves time to commit, and runs the program as nobody.
#[test]
fn the_cronjob_runs_the_program() {
    let Some(documents) = yaml("deploy/cronjob.yaml") else {
        return;
    };
    let of_kind = |kind: &str| {
        documents
            .iter()
            .find(|document| document["kind"] == kind)
            .expect("it")
    };
    let spec = &of_kind("CronJob")["spec"];
    assert_eq!(spec["concurrencyPolicy"], "Forbid");
    let job = &spec["jobTemplate"]["spec"];
    assert!(job["activeDeadlineSeconds"].as_u64() > Some(0));
    let pod = &job["template"]["spec"];
    // A policy on failures needs a pod that is not restarted in its place.
    assert_eq!(pod["restartPolicy"], "Never");
    assert!(pod["terminationGracePeriodSeconds"].as_u64() >= Some(60));
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["serviceAccountName"],
        of_kind("ServiceAccount")["metadata"]["name"]
    );
    let container = &pod["containers"][0];
    accepts(&command_of(&container["args"]), "cronjob.yaml");
    let volumes: Vec<&Value> = pod["volumes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|v| &v["name"])
        .collect();
    for mount in container["volumeMounts"].as_array().expect("a list") {
        assert!(volumes.contains(&&mount["name"]), "{mount}");
    }
    let claim = &of_kind("PersistentVolumeClaim")["metadata"]["name"];
    let claimed = pod["volumes"].as_array().expect("a list").iter();
    assert!(
        claimed
            .into_iter()
            .any(|v| v["persistentVolumeClaim"]["claimName"] == *claim)
    );
}

/// What the image is built from is there, and its base images are named by version.
#[test]
fn the_image_is_built_from_what_is_there() {
    let text = read("deploy/Dockerfile");
    let joined = text.replace("\\\n", " ");
    let ignore = read("deploy/Dockerfile.dockerignore");
    let root = docs().join("..");
    let mut users = Vec::new();
    for line in joined.lines() {
        let words = words(line);
        match words.first().map(String::as_str) {
            Some("FROM") => {
                let (_, tag) = words[1].split_once(':').expect("a tag");
                assert!(tag.contains('.') && tag != "latest", "{line}");
            }
            Some("COPY") if !words[1].starts_with("--from") => {
                for source in &words[1..words.len() - 1] {
                    assert!(root.join(source).exists(), "{source}");
                    assert!(
                        ignore.lines().any(|line| line == format!("!{source}")),
                        "{source}"
                    );
                }
            }
            Some("USER") => users.push(words[1].clone()),
            _ => {}
        }
    }
    assert_eq!(users, ["65532:65532"]);
    let rust = read("../Cargo.toml");
    let version = rust
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .expect("a version");
    assert!(text.contains(&format!("FROM rust:{}.", version.trim_matches('"'))));
}
