//! A night as Prometheus metrics, for node_exporter's textfile collector
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write;

use super::summary::{Night, Status};

/// The metrics; `ended_seconds` is the Unix time at which the night ended.
pub fn text(night: &Night, ended_seconds: f64) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, about: &str, values: &[(String, f64)]| {
        if values.is_empty() {
            return;
        }
        write!(
            text,
            "# HELP dynatrail_{name} {about}\n# TYPE dynatrail_{name} gauge\n"
        )
        .expect("writing to a string cannot fail");
        for (labels, value) in values {
            writeln!(text, "dynatrail_{name}{labels} {value}")
                .expect("writing to a string cannot fail");
        }
    };
    let plain = |value: f64| vec![(String::new(), value)];
    let by = |label: &str, counts: &[(&str, u64)]| -> Vec<(String, f64)> {
        let counts = counts.iter();
        counts
            .map(|(name, count)| (format!("{{{label}=\"{name}\"}}"), *count as f64))
            .collect()
    };
    gauge(
        "night_end_time_seconds",
        "When the last run ended, Unix time",
        &plain(ended_seconds),
    );
    gauge(
        "night_duration_seconds",
        "How long it took",
        &plain(night.elapsed_seconds),
    );
    let statuses = [
        Status::Complete,
        Status::Incomplete,
        Status::Findings,
        Status::Interrupted,
        Status::Failed,
    ];
    let statuses = statuses.map(|status| (status.as_str(), u64::from(status == night.status)));
    gauge(
        "night_status",
        "1 for how it ended",
        &by("status", &statuses),
    );
    if let Some(convert) = &night.convert {
        let objects = &convert.objects;
        let objects = [
            ("converted", objects.converted),
            ("already_done", objects.already_done),
            ("deferred", objects.deferred),
            ("failed", objects.failed),
            ("out_of_selection", objects.out_of_selection),
        ];
        gauge(
            "objects",
            "Objects listed, by what became of them",
            &by("state", &objects),
        );
        let records = &convert.records;
        let records = [
            ("kept", records.kept),
            ("not_selected", records.not_selected),
            ("duplicate", records.duplicate),
            ("quarantined", records.quarantined),
        ];
        gauge(
            "records",
            "Records read, by what became of them",
            &by("state", &records),
        );
        gauge(
            "inflated_bytes",
            "Bytes inflated",
            &plain(convert.inflated_bytes as f64),
        );
        gauge(
            "lake_events",
            "Events in the lake",
            &plain(convert.lake.events as f64),
        );
        gauge(
            "lake_bytes",
            "Bytes of the lake's parts",
            &plain(convert.lake.bytes as f64),
        );
    }
    if let Some(reports) = &night.reports {
        let answers: Vec<(&str, u64)> = reports.answers.iter().map(|(a, n)| (*a, *n)).collect();
        gauge("reports", "Reports, by answer", &by("answer", &answers));
        gauge(
            "coverage_gaps",
            "What keeps the evidence from being whole",
            &plain(night.coverage_gaps.len() as f64),
        );
    }
    text
}
