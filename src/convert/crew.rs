//! Who runs the units of a plan: this machine, or others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use serde::Serialize;

use super::ConvertError;
use super::unit::{Turn, Workshop, convert_unit};
use crate::lake::{PlannedUnit, Receipt, Store};

/// Units under way at once: one is finished, one decoded, one fetched.
const UNITS_UNDER_WAY: usize = 3;

/// Units of one plan that are to be run.
pub struct Work {
    /// What they are run with.
    pub workshop: Workshop,
    /// Where the plan stands in the lake that has them.
    pub plan: String,
    pub units: Vec<PlannedUnit>,
}

/// The units to be run, plan by plan, and who is told that they are.
pub trait Plans {
    /// More units, if there are.
    fn next(&mut self) -> Result<Option<Work>, ConvertError>;

    /// Takes the receipt of a unit that was given. They come in order, as far as the work goes to its
    /// end.
    fn done(&mut self, receipt: Receipt);
}

/// What of a run's units others did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shares {
    /// By the name of the executor.
    pub executors: BTreeMap<String, Share>,
    /// Tasks that were run again, since their executors were lost or failed.
    pub retries: u64,
    /// Units that no executor converted: the client did.
    pub done_here: u64,
    /// Why executors gave units back, of the first ones.
    pub refusals: Vec<String>,
    pub further_refusals: u64,
}

/// What one executor did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    pub units: u64,
    pub objects: u64,
    pub compressed_bytes: u64,
}

/// Reasons that are named.
const REFUSALS_NAMED: usize = 20;

impl Shares {
    pub fn refuse(&mut self, reason: &str) {
        self.retries += 1;
        match self.refusals.len() < REFUSALS_NAMED {
            true => self.refusals.push(reason.to_owned()),
            false => self.further_refusals += 1,
        }
    }
}

/// Runs units: where and in which order is its own affair, what they write is not.
pub trait Crew: Send + Sync {
    /// Runs units; none begins after `deadline`, and those behind it are not run.
    fn run(
        &self,
        store: &Store,
        plans: &mut dyn Plans,
        deadline: Option<Instant>,
    ) -> Result<(), ConvertError>;

    /// What others did of all units so far; none where nobody else takes part.
    fn shares(&self) -> Option<Shares> {
        None
    }
}

/// The cores of this machine, one unit after another. Each is fetched while the one before it is
/// decoded, and decoded while the one before it is finished: so neither the cores nor the network
/// wait.
pub struct ThisMachine;

impl Crew for ThisMachine {
    fn run(
        &self,
        store: &Store,
        plans: &mut dyn Plans,
        deadline: Option<Instant>,
    ) -> Result<(), ConvertError> {
        std::thread::scope(|scope| {
            let mut under_way = VecDeque::new();
            let (_, mut may_decode) = mpsc::channel();
            'given: while let Some(work) = plans.next()? {
                let workshop = Arc::new(work.workshop);
                for unit in work.units {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        break 'given;
                    }
                    if workshop.progress.interrupted.load(Ordering::Relaxed) {
                        return Err(ConvertError::Interrupted);
                    }
                    let objects = unit.objects.len();
                    tracing::debug!(unit = unit.unit, objects, "unit begins");
                    let (turn, fetched, next) = Turn::after(may_decode);
                    may_decode = next;
                    let workshop = workshop.clone();
                    let running = scope.spawn(move || {
                        convert_unit(&workshop, store, &unit, turn, &mut |_| Ok(())).inspect_err(
                            // Those behind it end as well.
                            |_| workshop.progress.interrupted.store(true, Ordering::Relaxed),
                        )
                    });
                    // Nothing is ever sent: the end of the channel is the sign.
                    let _ = fetched.recv();
                    under_way.push_back(running);
                    if under_way.len() == UNITS_UNDER_WAY {
                        finish_first(&mut under_way, plans)?;
                    }
                }
            }
            while !under_way.is_empty() {
                finish_first(&mut under_way, plans)?;
            }
            Ok(())
        })
    }
}

type Running<'s> = ScopedJoinHandle<'s, Result<Receipt, ConvertError>>;

/// Takes the receipt of the first unit under way. Where it failed, nothing behind it goes on.
fn finish_first(
    under_way: &mut VecDeque<Running<'_>>,
    plans: &mut dyn Plans,
) -> Result<(), ConvertError> {
    let Some(first) = under_way.pop_front() else {
        return Ok(());
    };
    match joined(first) {
        Ok(receipt) => {
            plans.done(receipt);
            Ok(())
        }
        Err(error) => {
            let others = under_way.drain(..).filter_map(|unit| joined(unit).err());
            Err(cause(error, others))
        }
    }
}

/// What a thread returned; its panic goes on.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    let ended = thread.join();
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Why several ended early: one that fails interrupts the others, be they before it or behind.
pub fn cause(first: ConvertError, others: impl IntoIterator<Item = ConvertError>) -> ConvertError {
    let is_own = |error: &ConvertError| !matches!(error, ConvertError::Interrupted);
    if is_own(&first) {
        return first;
    }
    others.into_iter().find(is_own).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::LakeError;

    #[test]
    fn who_failed_is_told_before_those_who_were_interrupted() {
        let failed = || ConvertError::Lake(LakeError::Missing("a".to_owned()));
        let interrupted = || ConvertError::Interrupted;
        for (first, others, is_interrupted) in [
            (interrupted(), vec![interrupted(), failed()], false),
            (failed(), vec![interrupted()], false),
            (interrupted(), vec![interrupted()], true),
            (interrupted(), vec![], true),
        ] {
            let cause = cause(first, others);
            assert_eq!(matches!(cause, ConvertError::Interrupted), is_interrupted);
        }
    }
}
