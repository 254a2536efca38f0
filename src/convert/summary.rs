//! Sums a run up: what was listed, read, kept and written, and the identities that must hold.

use serde::Serialize;

use super::crew::Shares;
use super::unit::error_chain;
use crate::archive::Listing;
use crate::lake::receipt::{RecordCounts, Tally};
use crate::lake::{LakeState, ObjectStatus, PlannedObject, Receipt};

/// Problems named in a summary; beyond it they are counted, and stand in the receipts.
const MAX_PROBLEMS: usize = 1000;

/// What a run did. `--summary json` prints it; its names are stable.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    pub objects: ObjectCounts,
    pub records: RecordCounts,
    /// Records not selected, by reason.
    pub not_selected: Tally,
    /// Envelopes opened and records of other kinds, by name.
    pub kinds: Tally,
    /// Kept events of which something was noticed, by note.
    pub notes: Tally,
    pub compressed_bytes: u64,
    pub inflated_bytes: u64,
    /// Objects of more gzip members than the one that AWS writes.
    pub multi_member_objects: u64,
    pub written: Written,
    /// Units that an earlier run had left unfinished; their objects are counted apart from those
    /// listed.
    pub resumed_units: u64,
    pub lake: LakeTotals,
    pub problems: Vec<Problem>,
    /// Problems beyond those named.
    pub further_problems: u64,
    pub identities: Identities,
    /// Of a run on a cluster: who did what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Shares>,
    /// The objects counted as changed, as they are listed now.
    #[serde(skip)]
    pub refused: Vec<PlannedObject>,
}

/// Objects by what became of them: `listed` is the sum of the others.
#[derive(Debug, Default, Serialize)]
pub struct ObjectCounts {
    pub listed: u64,
    /// Read, to the end or as far as the damage lets.
    pub converted: u64,
    pub already_done: u64,
    /// Left for the next run by the budget of bytes or time.
    pub deferred: u64,
    /// Could not be read, or were deleted since they were listed.
    pub failed: u64,
    pub out_of_selection: u64,
    /// Of `converted`: those with damage.
    pub damaged: u64,
    /// Of `failed`: those deleted since they were listed.
    pub gone: u64,
    /// Of `failed`: those whose content changed since they were converted, and that were not read.
    pub changed: u64,
    /// `out_of_selection` by reason.
    pub out_of_selection_by_reason: Tally,
    /// Folders that were not listed at all, by reason: what is in them is not counted.
    pub folders_not_listed: Tally,
}

#[derive(Debug, Default, Serialize)]
pub struct Written {
    pub units: u64,
    pub parts: u64,
    pub bytes: u64,
    pub operations: u64,
}

/// What the whole lake holds after the run.
#[derive(Debug, Default, Serialize)]
pub struct LakeTotals {
    pub events: u64,
    pub operations: u64,
    pub parts: u64,
    pub bytes: u64,
    pub first_date: Option<String>,
    pub last_date: Option<String>,
    /// Sum of what the receipts say was kept.
    pub kept_by_receipts: u64,
}

#[derive(Debug, Serialize)]
pub struct Problem {
    pub object: String,
    pub problem: String,
    #[serde(skip)]
    pub kind: ProblemKind,
}

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A place that could not be listed.
    Listing,
    /// An object that has another content than the one that was converted.
    Changed,
    /// An object whose receipt tells of it.
    Object,
}

/// Whether the sums agree.
#[derive(Debug, Default, Serialize)]
pub struct Identities {
    pub objects: bool,
    pub records: bool,
    pub lake: bool,
}

impl Identities {
    pub fn hold(&self) -> bool {
        self.objects && self.records && self.lake
    }
}

impl Summary {
    pub fn of_listing(listing: &Listing) -> Self {
        let mut summary = Self::default();
        summary.objects.listed = listing.listed;
        for (reason, count) in &listing.out_of_selection {
            summary.leave_out(reason, *count);
        }
        for (reason, count) in &listing.pruned_folders {
            let folders = &mut summary.objects.folders_not_listed;
            *folders.entry((*reason).to_owned()).or_default() += count;
        }
        for failure in &listing.failures {
            let cause = error_chain(&failure.error);
            let problem = format!("cannot be listed: {cause}");
            summary.problem(&failure.place, &problem, ProblemKind::Listing);
        }
        summary
    }

    fn leave_out(&mut self, reason: &str, count: u64) {
        let objects = &mut self.objects;
        objects.out_of_selection += count;
        *objects
            .out_of_selection_by_reason
            .entry(reason.to_owned())
            .or_default() += count;
    }

    fn problem(&mut self, object: &str, problem: &str, kind: ProblemKind) {
        if self.problems.len() == MAX_PROBLEMS {
            self.further_problems += 1;
            return;
        }
        self.problems.push(Problem {
            object: object.to_owned(),
            problem: problem.to_owned(),
            kind,
        });
    }

    /// Counts an object that has another content than the one that was converted.
    pub fn refuse_changed(&mut self, object: PlannedObject) {
        self.objects.failed += 1;
        self.objects.changed += 1;
        self.problem(
            &object.uri,
            "its size or ETag changed since it was converted: not read, what the lake has of it \
             stays; --changed redo takes the new content instead",
            ProblemKind::Changed,
        );
        self.refused.push(object);
    }

    /// Names an object that an earlier run refused and that is not listed: it is in no count.
    pub fn miss_refused(&mut self, uri: &str) {
        self.problem(
            uri,
            "its size or ETag had changed since it was converted, and now it is not listed: what \
             the lake has of it stays; --changed redo accepts that",
            ProblemKind::Changed,
        );
    }

    /// Adds a unit of this run.
    pub fn add(&mut self, receipt: &Receipt) {
        for object in &receipt.objects {
            match object.status {
                ObjectStatus::Converted => self.objects.converted += 1,
                ObjectStatus::Damaged => {
                    self.objects.converted += 1;
                    self.objects.damaged += 1;
                }
                ObjectStatus::Failed => self.objects.failed += 1,
                ObjectStatus::Gone => {
                    self.objects.failed += 1;
                    self.objects.gone += 1;
                }
                ObjectStatus::Digest => self.leave_out("digest", 1),
                ObjectStatus::NotALog => self.leave_out("not_a_log", 1),
            }
        }
        self.add_work(receipt);
    }

    /// Adds a unit of an earlier run.
    pub fn add_resumed(&mut self, receipt: &Receipt) {
        self.resumed_units += 1;
        self.add_work(receipt);
    }

    fn add_work(&mut self, receipt: &Receipt) {
        self.records.add(&receipt.counts);
        for (total, counts) in [
            (&mut self.not_selected, &receipt.not_selected),
            (&mut self.kinds, &receipt.kinds),
            (&mut self.notes, &receipt.notes),
        ] {
            for (name, count) in counts {
                *total.entry(name.clone()).or_default() += count;
            }
        }
        self.written.units += 1;
        for part in receipt.parts.iter().filter(|part| part.table != "receipts") {
            self.written.parts += 1;
            self.written.bytes += part.size_bytes;
            if part.table == "operations" {
                self.written.operations += part.rows;
            }
        }
        for object in &receipt.objects {
            self.compressed_bytes += object.object.size_bytes;
            self.inflated_bytes += object.inflated_bytes;
            self.multi_member_objects += u64::from(object.gzip_members.is_some());
            if let Some(problem) = &object.problem {
                self.problem(&object.object.uri, problem, ProblemKind::Object);
            }
            if object.counts.quarantined > 0 {
                let records = object.counts.quarantined;
                let problem = format!("{records} records quarantined");
                self.problem(&object.object.uri, &problem, ProblemKind::Object);
            }
        }
    }

    /// Takes duplicates across units off what was kept, adds the lake's totals, and checks the
    /// identities.
    pub fn settle(&mut self, settled: u64, lake: &LakeState) {
        // Of a run that only settles what an earlier one converted, nothing was kept to take off.
        let own = settled.min(self.records.kept);
        self.records.kept -= own;
        self.records.duplicate += own;
        self.lake = LakeTotals::of(lake);
        let objects = &self.objects;
        self.identities = Identities {
            objects: objects.listed
                == objects.converted
                    + objects.already_done
                    + objects.deferred
                    + objects.failed
                    + objects.out_of_selection,
            records: self.records.is_balanced(),
            lake: self.lake.events == self.lake.kept_by_receipts,
        };
    }

    /// Whether something was quarantined or could not be read.
    pub fn is_incomplete(&self) -> bool {
        !self.problems.is_empty() || self.objects.deferred > 0
    }
}

impl LakeTotals {
    pub fn of(lake: &LakeState) -> Self {
        let mut totals = Self {
            kept_by_receipts: lake.counts().kept,
            ..Self::default()
        };
        for part in lake.parts() {
            match part.table.as_str() {
                "events" => totals.events += part.rows,
                "operations" => totals.operations += part.rows,
                _ => continue,
            }
            totals.parts += 1;
            totals.bytes += part.size_bytes;
            totals.first_date = totals.first_date.into_iter().chain([part.dt.clone()]).min();
            totals.last_date = totals.last_date.into_iter().chain([part.dt]).max();
        }
        totals
    }
}
