//! A night as Prometheus metrics, for node_exporter's textfile collector
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use super::summary::{Night, Status};
use crate::convert::summary::Summary;
use crate::signal::DeliveryOutcome;

/// The metrics; `ended_seconds` is the Unix time at which the night ended.
pub fn text(night: &Night, ended_seconds: f64) -> String {
    let mut gauges = Gauges::default();
    gauges.one(
        "night_end_time_seconds",
        "When the last run ended, Unix time",
        ended_seconds,
    );
    gauges.one(
        "night_duration_seconds",
        "How long it took",
        night.elapsed_seconds,
    );
    let statuses = [
        Status::Complete,
        Status::Incomplete,
        Status::Findings,
        Status::Interrupted,
        Status::Failed,
    ];
    let statuses = statuses.map(|status| (status.as_str(), u64::from(status == night.status)));
    gauges.by("night_status", "1 for how it ended", "status", &statuses);
    let outcomes = [
        DeliveryOutcome::Sent,
        DeliveryOutcome::Nothing,
        DeliveryOutcome::Failed,
    ];
    let told = |outcome| {
        night
            .deliveries
            .iter()
            .filter(move |d| d.outcome == outcome)
    };
    let outcomes = outcomes.map(|outcome| (outcome.as_str(), told(outcome).count() as u64));
    gauges.by(
        "deliveries",
        "Who was told, by what came of it",
        "outcome",
        &outcomes,
    );
    gauges.one(
        "signal_problems",
        "Reasons why somebody may not have been told",
        night.signal_problems.len() as f64,
    );
    if let Some(convert) = &night.convert {
        conversion(&mut gauges, convert);
    }
    if let Some(reports) = &night.reports {
        let answers: Vec<(&str, u64)> = reports.answers.iter().map(|(a, n)| (*a, *n)).collect();
        gauges.by("reports", "Reports, by answer", "answer", &answers);
        let gaps = night.coverage_gaps.len() as f64;
        let about = "What keeps the evidence from being whole";
        gauges.one("coverage_gaps", about, gaps);
    }
    gauges.text
}

fn conversion(gauges: &mut Gauges, convert: &Summary) {
    let objects = &convert.objects;
    let objects = [
        ("converted", objects.converted),
        ("already_done", objects.already_done),
        ("deferred", objects.deferred),
        ("failed", objects.failed),
        ("out_of_selection", objects.out_of_selection),
    ];
    let about = "Objects listed, by what became of them";
    gauges.by("objects", about, "state", &objects);
    let records = &convert.records;
    let records = [
        ("kept", records.kept),
        ("not_selected", records.not_selected),
        ("duplicate", records.duplicate),
        ("quarantined", records.quarantined),
    ];
    let about = "Records read, by what became of them";
    gauges.by("records", about, "state", &records);
    let inflated = convert.inflated_bytes as f64;
    gauges.one("inflated_bytes", "Bytes inflated", inflated);
    let lake = &convert.lake;
    gauges.one("lake_events", "Events in the lake", lake.events as f64);
    gauges.one("lake_bytes", "Bytes of the lake's parts", lake.bytes as f64);
}

#[derive(Default)]
struct Gauges {
    text: String,
}

impl Gauges {
    fn begin(&mut self, name: &str, about: &str) {
        let lines = format!("# HELP dynatrail_{name} {about}\n# TYPE dynatrail_{name} gauge\n");
        self.text.push_str(&lines);
    }

    fn one(&mut self, name: &str, about: &str, value: f64) {
        self.begin(name, about);
        self.text.push_str(&format!("dynatrail_{name} {value}\n"));
    }

    fn by(&mut self, name: &str, about: &str, label: &str, counts: &[(&str, u64)]) {
        self.begin(name, about);
        for (value, count) in counts {
            let line = format!("dynatrail_{name}{{{label}=\"{value}\"}} {count}\n");
            self.text.push_str(&line);
        }
    }
}
