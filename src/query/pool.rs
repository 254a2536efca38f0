//! The memory of a session: shared by whoever asks first, so that a question that fits runs without
//! spilling, however many operators its plan has.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};

/// Of the limit, what operators that can spill leave to those that cannot: the merges of what was
/// spilled, and tables that others are joined to.
const KEPT_PART: usize = 4;

/// What every operator may hold, even beyond the limit, as a part of the limit: one that merges what
/// it spilled has nothing left to spill, though it is known as one that can.
const FLOOR_PART: usize = 16;

/// What all repartitions together may queue in memory, as a part of the limit. They take rows as long
/// as one of their readers has none, and queue those of the others, however many: what is more than
/// this is better on disk than in the place of what readers sort and group.
const QUEUED_PART: usize = 8;

/// How operators that queue rows for others are named.
const QUEUES: &str = "RepartitionExec";

/// What every operator may hold under a limit.
pub fn floor(limit: usize) -> usize {
    limit / FLOOR_PART
}

/// A pool that gives memory to whoever asks first, and to each at least what it cannot do without.
///
/// The engine's own either divide the memory by the operators that can spill, of which a plan of many
/// steps has dozens that hold little, or fail an operator at its first rows once another has all.
#[derive(Debug)]
pub struct Pool {
    limit: usize,
    used: AtomicUsize,
    /// Of those used, what repartitions queue.
    queued: AtomicUsize,
}

impl Pool {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
        }
    }

    /// Whether an operator that holds some memory may have so much more when so much would be used.
    fn allows(
        &self,
        can_spill: bool,
        held: usize,
        additional: usize,
        would_be_used: usize,
    ) -> bool {
        // The first rows are one batch, of whatever size: there is nothing to spill instead.
        let is_first = can_spill && held == 0;
        let shared = match can_spill {
            true => self.limit - self.limit / KEPT_PART,
            false => self.limit,
        };
        is_first || would_be_used <= shared || held + additional <= floor(self.limit)
    }
}

fn queues(reservation: &MemoryReservation) -> bool {
    reservation.consumer().name().starts_with(QUEUES)
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        "lake"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        if queues(reservation) {
            self.queued.fetch_add(additional, Ordering::Relaxed);
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        if queues(reservation) {
            self.queued.fetch_sub(shrink, Ordering::Relaxed);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let can_spill = reservation.consumer().can_spill();
        let held = reservation.size();
        self.grow(reservation, additional);
        let used = self.used.load(Ordering::Relaxed) - additional;
        let is_allowed = match queues(reservation) {
            true => {
                additional == 0 || self.queued.load(Ordering::Relaxed) <= self.limit / QUEUED_PART
            }
            false => self.allows(can_spill, held, additional, used + additional),
        };
        if is_allowed {
            return Ok(());
        }
        self.shrink(reservation, additional);
        Err(DataFusionError::ResourcesExhausted(format!(
            "{} holds {} and asks for {} more, {} of {} are taken",
            reservation.consumer().name(),
            human_readable_size(held),
            human_readable_size(additional),
            human_readable_size(used),
            human_readable_size(self.limit),
        )))
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {}",
            human_readable_size(self.reserved()),
            human_readable_size(self.limit)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};

    use super::Pool;

    const LIMIT: usize = 1600;

    #[test]
    fn first_come_are_served_and_none_is_starved() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(LIMIT));
        let spilling = |name: &str| {
            MemoryConsumer::new(name)
                .with_can_spill(true)
                .register(&pool)
        };
        let sort = spilling("sort");
        sort.try_grow(1200)
            .expect("three quarters are for whoever can spill");
        sort.try_grow(1).expect_err("the rest is not");
        let join = MemoryConsumer::new("join").register(&pool);
        join.try_grow(400).expect("it is for those that cannot");
        join.try_grow(1).expect_err("up to the limit");
        let group = spilling("group");
        group.try_grow(500).expect("first rows, of any size");
        group.try_grow(1).expect_err("not the second");
        let merge = MemoryConsumer::new("merge").register(&pool);
        merge.try_grow(100).expect("the floor");
        merge.try_grow(1).expect_err("no more than the floor");
        assert_eq!(pool.reserved(), 2200);
        drop((sort, join, group, merge));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn queues_have_their_part_even_where_all_is_taken() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(LIMIT));
        let join = MemoryConsumer::new("join").register(&pool);
        join.try_grow(LIMIT).expect("all of it");
        let queue = |part: usize| {
            MemoryConsumer::new(format!("RepartitionExec[{part}]"))
                .with_can_spill(true)
                .register(&pool)
        };
        let (one, other) = (queue(0), queue(1));
        one.try_grow(150).expect("an eighth");
        other.try_grow(51).expect_err("for all of them together");
        other
            .try_grow(0)
            .expect("rows without columns have no bytes");
        other.try_grow(50).expect("the rest of the eighth");
        one.shrink(100);
        other.try_grow(100).expect("what was taken from a queue");
        drop((one, other));
        queue(2).try_grow(200).expect("all of the eighth again");
    }
}
