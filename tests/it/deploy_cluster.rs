//! What `docs/cluster.md`, `docs/cluster-sizing.md` and `docs/deploy/cluster/` tell people to run is what
//! the program takes, and lets in nobody whom the page does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::deploy::{
    accepts, command_of, docs, links_lead_somewhere, of_dynatrail, read, shell_lines, skipped,
    strings, yaml,
};
use crate::product::{files, path};

/// Who may connect to whom, and at which ports: what the page says.
const MAY_CONNECT: [(&str, &str, &[u64]); 4] = [
    ("client", "scheduler", &[50050]),
    ("executor", "scheduler", &[50050]),
    ("scheduler", "executor", &[50051, 50052]),
    ("executor", "executor", &[50051]),
];

fn json(name: &str) -> Value {
    let text = read(&format!("deploy/cluster/{name}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("a list, not {value}"))
}

/// One text or several.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        several => strings(several),
    }
}

#[test]
fn the_pages_tell_what_the_program_takes() {
    for (page, least) in [("cluster.md", 7), ("cluster-sizing.md", 1)] {
        let lines = shell_lines(&read(page));
        let ours = lines.iter().filter(|line| line.starts_with("dynatrail "));
        let commands: Vec<_> = ours.map(|line| of_dynatrail(line).expect("it")).collect();
        assert!(commands.len() >= least, "{page}: {}", commands.len());
        for command in &commands {
            accepts(command, page);
        }
        links_lead_somewhere(page);
    }
    let readme = shell_lines(&read("../README.md"));
    let ours = readme.iter().filter(|line| line.contains("cluster"));
    let mut count = 0;
    for line in ours {
        accepts(&of_dynatrail(line).expect("a command"), "README.md");
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn the_page_names_every_file() {
    let page = read("cluster.md");
    let found = files(&docs().join("deploy/cluster"));
    assert!(found.len() >= 8);
    for (file, _) in found {
        let link = format!("](deploy/cluster/{})", path(&file));
        assert!(page.contains(&link), "{}", path(&file));
    }
}

/// The image that the page builds has the feature, and is that which every file names.
#[test]
fn the_image_is_that_of_the_page() {
    let image = read("deploy/Dockerfile");
    assert!(image.contains("\nARG FEATURES=cluster\n"));
    assert!(image.contains("--features \"$FEATURES\""));
    let name = concat!("dynatrail:", env!("CARGO_PKG_VERSION"));
    let builds = format!("docker build -f docs/deploy/Dockerfile -t {name} .");
    assert!(read("cluster.md").contains(&builds));
    let mut named = 0;
    for (file, bytes) in files(&docs().join("deploy/cluster")) {
        let text = String::from_utf8(bytes).expect("text");
        for line in text.lines().map(str::trim) {
            let is_image = line.starts_with("image:") || line.starts_with("\"image\":");
            if is_image {
                let image = line.trim_end_matches(['"', ',']);
                assert!(
                    image.ends_with(&format!("/{name}")),
                    "{}: {line}",
                    path(&file)
                );
                named += 1;
            }
        }
    }
    assert_eq!(named, 6);
}

/// The tables of sizes are those that the script computes.
#[test]
fn the_sizes_are_those_of_the_script() {
    let Ok(python) = std::env::var("DYNATRAIL_PYTHON") else {
        return skipped("DYNATRAIL_PYTHON names no Python");
    };
    let script = docs().join("../benches/sizing.py");
    let output = Command::new(python).arg(script).output();
    let output = output.expect("Python runs");
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && told.lines().count() > 30);
    let page = read("cluster-sizing.md");
    for line in told.lines() {
        assert!(page.lines().any(|of_page| of_page == line), "{line}");
    }
}

/// What a role may do in AWS, by statement: actions, with the resources.
fn policy(name: &str) -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let document = json(name);
    assert_eq!(document["Version"], "2012-10-17");
    let statement = |statement: &Value| {
        assert_eq!(statement["Effect"], "Allow");
        let id = statement["Sid"].as_str().expect("a name").to_owned();
        (
            id,
            (texts(&statement["Action"]), texts(&statement["Resource"])),
        )
    };
    list(&document["Statement"]).iter().map(statement).collect()
}

#[test]
fn the_policies_allow_no_more_than_the_page_says() {
    let page = read("cluster.md");
    for name in ["iam-client.json", "iam-executor.json"] {
        for (id, (actions, resources)) in policy(name) {
            assert!(page.contains(&id), "{id} is not explained");
            assert!(actions.iter().all(|action| !action.contains('*')), "{id}");
            // The archive is only read.
            let is_of_archive = resources.iter().any(|r| r.contains("my-trail-bucket"));
            let reads = |a: &String| matches!(a.as_str(), "s3:GetObject" | "s3:ListBucket");
            assert!(!is_of_archive || actions.iter().all(reads), "{id}");
        }
    }
    // What an executor writes is what a unit consists of.
    let lake = "arn:aws:s3:::my-lake/dynamodb/";
    let mut written = BTreeSet::new();
    for (id, (actions, resources)) in policy("iam-executor.json") {
        assert!(!actions.iter().any(|a| a.contains("Delete")), "{id}");
        if actions.iter().any(|a| a == "s3:PutObject") {
            written.extend(resources);
        }
    }
    let of_units = [
        "events/*",
        "operations/*",
        "receipts/*",
        "_dynatrail/receipts/*",
        "_dynatrail/quarantine/*",
    ];
    let of_units = of_units.map(|folder| format!("{lake}{folder}"));
    assert_eq!(written, of_units.into_iter().collect());
    // What the executors do for it, the client need not be allowed to.
    let client = policy("iam-client.json");
    assert!(!client.contains_key("ReadTheArchive"));
    assert!(client.contains_key("WriteTheLake"));
}

/// The pod's specification of a role.
fn pod<'d>(documents: &'d [Value], kind: &str, role: &str) -> &'d Value {
    let name = format!("dynatrail-{role}");
    let document = documents
        .iter()
        .find(|document| document["kind"] == kind && document["metadata"]["name"] == *name)
        .unwrap_or_else(|| panic!("{kind} {name}"));
    let spec = &document["spec"];
    let template = match kind {
        "CronJob" => &spec["jobTemplate"]["spec"]["template"],
        _ => &spec["template"],
    };
    let component = &template["metadata"]["labels"]["app.kubernetes.io/component"];
    assert_eq!(*component, role);
    if kind == "Deployment" {
        let selected = &spec["selector"]["matchLabels"];
        assert_eq!(*selected, template["metadata"]["labels"]);
    }
    &template["spec"]
}

fn holds_the_rules_of_pods(pod: &Value, role: &str) {
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{role}");
    assert_eq!(pod["serviceAccountName"], *format!("dynatrail-{role}"));
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(
        container["securityContext"]["allowPrivilegeEscalation"],
        false
    );
    accepts(&command_of(&container["args"]), "kubernetes.yaml");
    let volumes: Vec<&Value> = list(&pod["volumes"]).iter().map(|v| &v["name"]).collect();
    for mount in list(&container["volumeMounts"]) {
        assert!(volumes.contains(&&mount["name"]), "{mount}");
    }
}

/// What stands behind an option.
fn option<'c>(command: &'c [String], name: &str) -> &'c str {
    let at = command.iter().position(|word| word == name);
    let at = at.unwrap_or_else(|| panic!("{name}: {}", command.join(" ")));
    &command[at + 1]
}

#[test]
fn the_pods_run_the_program() {
    let Some(documents) = yaml("deploy/cluster/kubernetes.yaml") else {
        return;
    };
    let scheduler = pod(&documents, "Deployment", "scheduler");
    let executor = pod(&documents, "Deployment", "executor");
    let client = pod(&documents, "CronJob", "client");
    let roles = [
        ("scheduler", scheduler),
        ("executor", executor),
        ("client", client),
    ];
    for (role, pod) in roles {
        holds_the_rules_of_pods(pod, role);
    }
    let of_kind = |kind: &str, name: &str| {
        let mut found = documents.iter();
        let found = found.find(|d| d["kind"] == kind && d["metadata"]["name"] == *name);
        found.unwrap_or_else(|| panic!("{kind} {name}"))
    };
    // One scheduler, reached by the name that it tells of itself.
    let deployment = &of_kind("Deployment", "dynatrail-scheduler")["spec"];
    assert_eq!(deployment["replicas"], 1);
    assert_eq!(deployment["strategy"]["type"], "Recreate");
    let command = strings(&scheduler["containers"][0]["args"]);
    let name = option(&command, "--advertise");
    assert_eq!(name, "dynatrail-scheduler.security.svc");
    of_kind("Service", "dynatrail-scheduler");
    // It may do nothing in AWS and in the cluster.
    let account = of_kind("ServiceAccount", "dynatrail-scheduler");
    assert_eq!(account["automountServiceAccountToken"], false);
    assert!(account["metadata"]["annotations"].is_null());
    let command = strings(&executor["containers"][0]["args"]);
    assert_eq!(option(&command, "--scheduler"), format!("{name}:50050"));
    assert_eq!(option(&command, "--advertise"), "$(POD_IP)");
    assert_eq!(executor["containers"][0]["env"][0]["name"], "POD_IP");
    let folder = option(&command, "--work-dir");
    let mount = &executor["containers"][0]["volumeMounts"][0]["mountPath"];
    assert!(folder.starts_with(mount.as_str().expect("a path")));
    assert!(executor["volumes"][0]["emptyDir"].is_object());
    let cores = &executor["containers"][0]["resources"]["requests"]["cpu"];
    assert_eq!(option(&command, "--threads"), cores);
    let command = strings(&client["containers"][0]["args"]);
    assert_eq!(option(&command, "--cluster"), format!("df://{name}:50050"));
}

/// The policies on the network let in those whom the page names, and nobody else.
#[test]
fn the_network_lets_in_whom_the_page_names() {
    let Some(documents) = yaml("deploy/cluster/kubernetes.yaml") else {
        return;
    };
    let component = |selector: &Value| {
        let labels = &selector["matchLabels"];
        assert_eq!(labels["app.kubernetes.io/name"], "dynatrail");
        let component = labels["app.kubernetes.io/component"].as_str();
        component.expect("one role").to_owned()
    };
    let mut found = BTreeSet::new();
    let mut guarded = BTreeSet::new();
    let policies = documents.iter().filter(|d| d["kind"] == "NetworkPolicy");
    for policy in policies.map(|document| &document["spec"]) {
        let to = component(&policy["podSelector"]);
        assert!(strings(&policy["policyTypes"]).contains(&"Ingress".to_owned()));
        guarded.insert(to.clone());
        for rule in list(&policy["ingress"]) {
            for from in list(&rule["from"]) {
                assert_eq!(from.as_object().expect("a rule").len(), 1);
                for port in list(&rule["ports"]) {
                    let port = port["port"].as_u64().expect("a number");
                    found.insert((component(&from["podSelector"]), to.clone(), port));
                }
            }
        }
    }
    let roles = ["client", "executor", "scheduler"].map(str::to_owned);
    assert_eq!(guarded, roles.into_iter().collect());
    assert_eq!(found, whom_the_page_names());
}

fn whom_the_page_names() -> BTreeSet<(String, String, u64)> {
    let each = MAY_CONNECT.iter().flat_map(|(from, to, ports)| {
        let one = |port: &u64| ((*from).to_owned(), (*to).to_owned(), *port);
        ports.iter().map(one)
    });
    each.collect()
}

#[test]
fn the_tasks_of_ecs_run_the_program() {
    for role in ["scheduler", "executor", "client"] {
        let name = format!("ecs-{role}.json");
        let task = json(&name);
        assert_eq!(task["family"], *format!("dynatrail-{role}"));
        assert_eq!(task["taskRoleArn"].is_null(), role == "scheduler");
        let container = &task["containerDefinitions"][0];
        assert_eq!(container["readonlyRootFilesystem"], true);
        assert_ne!(container["user"], "0:0");
        let volumes: Vec<&Value> = list(&task["volumes"]).iter().map(|v| &v["name"]).collect();
        for mount in list(&container["mountPoints"]) {
            assert!(volumes.contains(&&mount["sourceVolume"]), "{mount}");
        }
        let command = match container["entryPoint"].is_null() {
            true => command_of(&container["command"]),
            false => {
                let line = strings(&container["command"]).join(" ");
                of_dynatrail(&line).expect("dynatrail")
            }
        };
        accepts(&command, &name);
        let place = "scheduler.dynatrail.internal";
        match role {
            "scheduler" => assert_eq!(option(&command, "--advertise"), place),
            "executor" => assert_eq!(option(&command, "--scheduler"), format!("{place}:50050")),
            _ => assert_eq!(option(&command, "--cluster"), format!("df://{place}:50050")),
        }
    }
}

/// The services start the tasks, and the groups on the page let in whom it names.
#[test]
fn the_services_of_ecs_stand_in_their_groups() {
    let mut groups = BTreeMap::new();
    for role in ["scheduler", "executor"] {
        let service = json(&format!("ecs-{role}-service.json"));
        assert_eq!(service["taskDefinition"], *format!("dynatrail-{role}"));
        let network = &service["networkConfiguration"]["awsvpcConfiguration"];
        assert_eq!(network["assignPublicIp"], "DISABLED");
        let group = strings(&network["securityGroups"]).remove(0);
        groups.insert(group, role);
    }
    let scheduler = json("ecs-scheduler-service.json");
    assert_eq!(scheduler["desiredCount"], 1);
    assert_eq!(scheduler["deploymentConfiguration"]["maximumPercent"], 100);
    assert!(scheduler["serviceRegistries"][0]["registryArn"].is_string());
    let page = read("cluster.md");
    let mut found = BTreeSet::new();
    for line in shell_lines(&page) {
        if !line.contains("authorize-security-group-ingress") {
            continue;
        }
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let role = |option_name| {
            let group = option(&words, option_name);
            let role = groups.get(group).copied();
            // The client's stands in no file of ours.
            role.unwrap_or_else(|| {
                assert!(page.contains(&format!("| `{group}` | client |")), "{group}");
                "client"
            })
        };
        let ports = option(&words, "--port");
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| text.parse::<u64>().expect("a port");
        for port in port(first)..=port(last) {
            let (from, to) = (role("--source-group"), role("--group-id"));
            found.insert((from.to_owned(), to.to_owned(), port));
        }
    }
    assert_eq!(found, whom_the_page_names());
}
