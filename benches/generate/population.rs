//! The principals and tables of a benchmark archive: many, of every kind, the first ones the busiest.

use super::identities::{
    Caller, Connection, Origin, RoleSession, SessionKind, Tls, identifier, role_session,
    service_origin, user,
};
use super::prng::Prng;
use super::tables::{Attribute, Index, Table, Values};
use super::time::{HOUR, Seconds};

/// Accounts reserved for documentation, the busiest first.
pub const ACCOUNTS: [&str; 3] = ["111122223333", "123456789012", "444455556666"];
pub const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
pub const PRINCIPALS: usize = 200;
pub const TABLES: usize = 60;

const AUTO_SCALING: &str = "dynamodb.application-autoscaling.amazonaws.com";
const APPLICATIONS: [&str; 20] = [
    "orders",
    "checkout",
    "billing",
    "search",
    "catalogue",
    "shipping",
    "returns",
    "accounts",
    "reviews",
    "pricing",
    "inventory",
    "loyalty",
    "carts",
    "sessions",
    "payments",
    "fraud",
    "notifications",
    "media",
    "ledger",
    "reports",
];
const PEOPLE: [&str; 10] = [
    "ana", "bjarne", "chidi", "dolores", "emeka", "farah", "goran", "hana", "ivan", "jo",
];
const SDKS: [&str; 7] = [
    "aws-sdk-nodejs/3.758.0 linux/v20.18.3 exec-env/AWS_Lambda_nodejs20.x ua/2.1 api/dynamodb#3.758.0 md/nodejs#20.18.3 cfg/retry-mode#standard",
    "aws-sdk-java/2.30.31 md/io#async md/http#NettyNio ua/2.1 os/Linux#5.10.234-225.895.amzn2.x86_64 lang/java#21.0.6 md/OpenJDK_64-Bit_Server_VM#21.0.6+7-LTS md/vendor#Amazon.com_Inc. md/en_US exec-env/AWS_ECS_FARGATE m/D,N,P",
    "Boto3/1.37.4 md/Botocore#1.37.4 ua/2.0 os/linux#6.1.127-135.201.amzn2023.x86_64 md/arch#x86_64 lang/python#3.12.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.37.4 Resource",
    "aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.24.0 md/GOOS#linux md/GOARCH#arm64 api/dynamodb#1.41.0 m/E,g",
    "aws-sdk-rust/1.3.3 ua/2.1 api/dynamodb/1.66.0 os/linux lang/rust/1.85.0 m/E,b",
    "aws-sdk-java/2.20.89 Linux/4.18.0-372.59.1.el8_6.x86_64 OpenJDK_64-Bit_Server_VM/11.0.20.1 Java/11.0.20.1 scala/2.13.10 vendor/Red_Hat io/async http/NettyNio cfg/retry-mode/legacy",
    "aws-sdk-dotnet-coreclr/3.7.406.0 ua/2.0 os/linux#5.10.0 lang/.NET_Core#8.0.13 md/ARCH#X64 cfg/retry-mode#legacy md/ClientAsync",
];
const BROWSER: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36";
const CLI: &str = "aws-cli/2.24.5 md/awscrt#0.23.8 ua/2.0 os/macos#24.3.0 md/arch#arm64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/prompt#off md/command#dynamodb.query";

const ATTRIBUTES: [&str; 16] = [
    "status",
    "updated_at",
    "created_at",
    "total",
    "currency",
    "customer_id",
    "address",
    "payload",
    "version",
    "expires_at",
    "quantity",
    "channel",
    "notes",
    "tags",
    "checksum",
    "owner",
];

/// The sessions of a principal begin at this moment of the hour, each its own.
fn session_offset(principal: usize) -> Seconds {
    (principal as Seconds * 977) % HOUR
}

/// The moment at which the session of a principal began that is in use at `time`; sessions last an hour.
pub fn session_begin(principal: usize, time: Seconds) -> Seconds {
    (time - session_offset(principal)).div_euclid(HOUR) * HOUR + session_offset(principal)
}

/// A principal of the account, in the session that began at `created`.
pub fn caller(account: &'static str, principal: usize, created: Seconds) -> Caller {
    let mut prng = Prng::of_text(&format!("{account}{principal}"));
    let person = PEOPLE[principal / 10 % PEOPLE.len()];
    match principal % 10 {
        4 => command_line_user(account, &format!("{person}-cli-{principal}"), &mut prng),
        7 => console_user(account, person, created, &mut prng),
        9 => auto_scaling(account, created),
        _ => workload(account, principal, created, &mut prng),
    }
}

/// A program with a role of its own: a function, a container task, a host or a pod.
fn workload(account: &'static str, principal: usize, created: Seconds, prng: &mut Prng) -> Caller {
    let application = APPLICATIONS[principal % APPLICATIONS.len()];
    let generation = principal / APPLICATIONS.len();
    // The hosts of a service change with its sessions, so addresses and session names do too.
    let mut of_session = Prng::stream(prng.word(), created as u64);
    let (runs_on, session, kind) = match principal % 10 {
        0 | 5 => (
            "function",
            format!("{application}-handler"),
            SessionKind::Plain,
        ),
        2 => (
            "host",
            format!("i-0{}", of_session.hex(16)),
            SessionKind::Instance,
        ),
        3 => (
            "pod",
            format!("botocore-session-{created}"),
            SessionKind::WebIdentity,
        ),
        _ => ("task", of_session.hex(32), SessionKind::Plain),
    };
    let origin = if runs_on == "function" {
        outside(prng)
    } else {
        inside(prng, &mut of_session)
    };
    let role = format!("{application}-{runs_on}-{generation}");
    let of = RoleSession {
        account,
        path: "/",
        role: &role,
        session: &session,
        created,
        kind,
    };
    role_session(&of, origin)
}

fn command_line_user(account: &'static str, name: &str, prng: &mut Prng) -> Caller {
    let key = identifier("AKIA", &format!("{account}{name}"));
    user(
        account,
        name,
        &key,
        Origin {
            user_agent: CLI.to_owned(),
            ..outside(prng)
        },
    )
}

fn console_user(account: &'static str, person: &str, created: Seconds, prng: &mut Prng) -> Caller {
    let of = RoleSession {
        account,
        path: "/aws-reserved/sso.amazonaws.com/",
        role: "AWSReservedSSO_Developer_0123456789abcdef",
        session: &format!("{person}@example.com"),
        created,
        kind: SessionKind::Person,
    };
    let origin = Origin {
        user_agent: BROWSER.to_owned(),
        connection: Connection::Console,
        ..outside(prng)
    };
    role_session(&of, origin)
}

fn auto_scaling(account: &'static str, created: Seconds) -> Caller {
    let of = RoleSession {
        account,
        path: "/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/",
        role: "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable",
        session: "AutoScaling-RetrieveCurrentCapacity",
        created,
        kind: SessionKind::Service(AUTO_SCALING),
    };
    role_session(&of, service_origin(AUTO_SCALING))
}

fn tls(prng: &mut Prng) -> Tls {
    prng.pick(&[Tls::V12, Tls::V13Aes128, Tls::V13Aes256, Tls::V13Aes128])
}

/// From the internet, always with the same address.
fn outside(prng: &mut Prng) -> Origin {
    Origin {
        address: format!(
            "{}.{}",
            prng.pick(&["192.0.2", "198.51.100"]),
            prng.between(1, 254)
        ),
        user_agent: prng.pick(&SDKS).to_owned(),
        connection: Connection::Public(tls(prng)),
    }
}

/// From a private network through its VPC endpoint, with an address of the session.
fn inside(prng: &mut Prng, of_session: &mut Prng) -> Origin {
    let network = prng.below(4);
    Origin {
        address: format!(
            "10.{network}.{}.{}",
            of_session.below(64),
            of_session.between(4, 250)
        ),
        user_agent: prng.pick(&SDKS).to_owned(),
        connection: Connection::Endpoint(format!("vpce-0{}", prng.hex(16)), tls(prng)),
    }
}

/// Whether the principal is a service that only looks at tables and sets their capacity.
pub fn is_auto_scaling(principal: usize) -> bool {
    principal % 10 == 9
}

pub fn tables(account: &'static str, region: &'static str) -> Vec<Table> {
    (0..TABLES)
        .map(|rank| table(account, region, rank))
        .collect()
}

fn keys(rank: usize) -> (Attribute, Option<Attribute>) {
    let customers = Values::Numbered {
        prefix: "CUST#",
        digits: 9,
        count: 400_000_000,
    };
    let orders = Values::Numbered {
        prefix: "ORD-",
        digits: 10,
        count: 9_000_000_000,
    };
    let lines = Values::Numbered {
        prefix: "LINE#",
        digits: 4,
        count: 10_000,
    };
    let partition_key = match rank % 4 {
        0 => Attribute::new("id", Values::Uuid),
        1 => Attribute::new("pk", customers),
        2 => Attribute::new("order_id", orders),
        _ => Attribute::new("hash_key", Values::Hash),
    };
    let sort_key = match rank % 3 {
        0 => None,
        1 => Some(Attribute::new("sk", Values::Milliseconds)),
        _ => Some(Attribute::new("line", lines)),
    };
    (partition_key, sort_key)
}

fn table(account: &'static str, region: &'static str, rank: usize) -> Table {
    const SUFFIXES: [&str; 3] = ["", "-history", "-by-day"];
    let name = format!("{}{}", APPLICATIONS[rank % 20], SUFFIXES[rank / 20 % 3]);
    let mut prng = Prng::of_text(&name);
    let (partition_key, sort_key) = keys(rank);
    let by_customer = Values::Numbered {
        prefix: "C",
        digits: 8,
        count: 90_000_000,
    };
    let index = rank.is_multiple_of(2).then(|| Index {
        name: format!("{}-index", prng.pick(&["customer", "status", "day"])),
        key: Attribute::new("customer_id", by_customer),
    });
    let mut attributes = ATTRIBUTES.to_vec();
    prng.shuffle(&mut attributes);
    attributes.truncate(4 + rank % 9);
    let stream = rank.is_multiple_of(5).then(|| {
        format!(
            "2024-11-{:02}T09:13:47.{:03}",
            1 + rank % 28,
            prng.below(1000)
        )
    });
    Table {
        name,
        account,
        region,
        partition_key,
        sort_key,
        index,
        attributes,
        stream,
    }
}
