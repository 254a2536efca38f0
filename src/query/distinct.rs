//! `count(DISTINCT text)`, counted by hashes of the texts.
//!
//! The engine's own keeps a set of texts for every group, which for a report by principal and table
//! is gigabytes that it does not account for. A hash of 128 bits stands for a text here, as it does
//! for an event where duplicates are told: that two texts share one is not to be expected before
//! there are 2^64 of them.

use std::hash::Hasher;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder,
    Int64Array, ListArray, StringViewArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use hashbrown::HashTable;
use siphasher::sip128::{Hasher128, SipHasher13};

/// Bytes of a hash.
const HASH_BYTES: i32 = 16;

/// `count` with this way of counting distinct texts; everything else is the engine's.
pub fn count() -> AggregateUDF {
    AggregateUDF::from(Count {
        inner: count_udaf(),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Count {
    inner: Arc<AggregateUDF>,
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn counts_texts(args: &AccumulatorArgs<'_>) -> bool {
    args.is_distinct && args.exprs.len() == 1 && is_text(args.expr_fields[0].data_type())
}

impl AggregateUDFImpl for Count {
    fn name(&self) -> &str {
        "count"
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct && is_text(args.input_fields[0].data_type()) {
            let name = format!("{}[count distinct]", args.name);
            return Ok(vec![Arc::new(Field::new(name, state_type(), false))]);
        }
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match counts_texts(&args) {
            true => Ok(Box::new(OneGroup::default())),
            false => self.inner.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        counts_texts(&args) || self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match counts_texts(&args) {
            true => Ok(Box::new(DistinctTexts::default())),
            false => self.inner.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn value_from_stats(&self, args: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.inner().value_from_stats(args)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

fn element() -> FieldRef {
    Arc::new(Field::new_list_field(
        DataType::FixedSizeBinary(HASH_BYTES),
        true,
    ))
}

fn state_type() -> DataType {
    DataType::List(element())
}

fn hash(text: &str) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish128().as_u128()
}

/// The texts seen in every group, as hashes.
#[derive(Default)]
struct DistinctTexts {
    /// Group and hash, in the order in which they were seen.
    seen: Vec<(u32, u128)>,
    /// Places in `seen`, by group and hash.
    places: HashTable<u32>,
    /// How many each group has.
    counts: Vec<i64>,
}

/// A hash is as good as random; the group shifts it.
fn place_of(group: u32, hash: u128) -> u64 {
    (hash as u64) ^ u64::from(group).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl DistinctTexts {
    fn see(&mut self, group: u32, hash: u128) {
        let (seen, places) = (&mut self.seen, &mut self.places);
        let entry = places.entry(
            place_of(group, hash),
            |place| seen[*place as usize] == (group, hash),
            |place| {
                let (group, hash) = seen[*place as usize];
                place_of(group, hash)
            },
        );
        if let hashbrown::hash_table::Entry::Vacant(vacant) = entry {
            vacant.insert(seen.len() as u32);
            seen.push((group, hash));
            self.counts[group as usize] += 1;
        }
    }

    /// Takes the groups that are emitted out; those behind them move to the beginning.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<i64>, Vec<(u32, u128)>) {
        let counts = emit_to.take_needed(&mut self.counts);
        let emitted = counts.len() as u32;
        let (taken, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.seen)
            .into_iter()
            .partition(|(group, _)| *group < emitted);
        self.places.clear();
        self.counts.iter_mut().for_each(|count| *count = 0);
        for (group, hash) in kept {
            self.see(group - emitted, hash);
        }
        (counts, taken)
    }
}

impl GroupsAccumulator for DistinctTexts {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.counts.resize(total_num_groups, 0);
        let texts = texts(&values[0])?;
        // Rows of one group often have one text after another the same.
        let mut last: Option<(&str, u128)> = None;
        for (row, group) in group_indices.iter().enumerate() {
            if texts.is_null(row) || opt_filter.is_some_and(|filter| !holds(filter, row)) {
                continue;
            }
            let text = texts.value(row);
            let hash = match last {
                Some((known, hash)) if known == text => hash,
                _ => hash(text),
            };
            last = Some((text, hash));
            self.see(*group as u32, hash);
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (counts, _) = self.take(emit_to);
        Ok(Arc::new(Int64Array::from(counts)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (counts, mut taken) = self.take(emit_to);
        taken.sort_unstable();
        let lengths = counts.iter().map(|count| *count as usize);
        let hashes = taken.iter().map(|(_, hash)| *hash);
        Ok(vec![lists(lengths, hashes)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.counts.resize(total_num_groups, 0);
        let lists = values[0].as_list::<i32>();
        for (row, group) in group_indices.iter().enumerate() {
            for hash in hashes(lists, row) {
                self.see(*group as u32, hash);
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let texts = texts(&values[0])?;
        let counts =
            |row: usize| texts.is_valid(row) && opt_filter.is_none_or(|filter| holds(filter, row));
        let lengths = (0..texts.len()).map(|row| usize::from(counts(row)));
        let hashes = (0..texts.len())
            .filter(|row| counts(*row))
            .map(|row| hash(texts.value(row)));
        Ok(vec![lists(lengths, hashes)?])
    }

    fn size(&self) -> usize {
        self.seen.capacity() * size_of::<(u32, u128)>()
            + self.places.allocation_size()
            + self.counts.capacity() * size_of::<i64>()
    }
}

/// The same without groups.
#[derive(Default)]
struct OneGroup(DistinctTexts);

impl std::fmt::Debug for OneGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} texts", self.0.seen.len())
    }
}

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0
            .update_batch(values, &vec![0; values[0].len()], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.0.seen.len() as i64)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let hashes = self.0.seen.iter().map(|(_, hash)| *hash);
        let list = lists([self.0.seen.len()].into_iter(), hashes)?;
        Ok(vec![ScalarValue::List(Arc::new(list.as_list().clone()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states, &vec![0; states[0].len()], 1)
    }
}

fn holds(filter: &BooleanArray, row: usize) -> bool {
    filter.is_valid(row) && filter.value(row)
}

fn texts(values: &ArrayRef) -> Result<StringViewArray> {
    Ok(cast(values, &DataType::Utf8View)?.as_string_view().clone())
}

fn hashes(lists: &ListArray, row: usize) -> Vec<u128> {
    if lists.is_null(row) {
        return Vec::new();
    }
    let values = lists.value(row);
    let values: &FixedSizeBinaryArray = values.as_fixed_size_binary();
    let bytes = |place| values.value(place).try_into().map(u128::from_le_bytes);
    (0..values.len())
        .filter_map(|place| bytes(place).ok())
        .collect()
}

/// Hashes in lists of these lengths.
fn lists(
    lengths: impl Iterator<Item = usize>,
    hashes: impl Iterator<Item = u128>,
) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(lengths);
    let count = offsets.last().map_or(0, |last| *last as usize);
    let mut values = FixedSizeBinaryBuilder::with_capacity(count, HASH_BYTES);
    for hash in hashes {
        values.append_value(hash.to_le_bytes())?;
    }
    let values: ArrayRef = Arc::new(values.finish());
    Ok(Arc::new(ListArray::try_new(
        element(),
        offsets,
        values,
        None,
    )?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use std::collections::BTreeSet;

    fn column(texts: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    fn evaluated(accumulator: &mut DistinctTexts, emit_to: EmitTo) -> Vec<i64> {
        let counts = accumulator.evaluate(emit_to).expect("counts");
        counts
            .as_primitive::<arrow::datatypes::Int64Type>()
            .values()
            .to_vec()
    }

    /// Groups and texts that repeat in no order.
    fn rows() -> Vec<(usize, Option<String>)> {
        let row = |n: usize| {
            let text = (!n.is_multiple_of(11)).then(|| format!("text {}", n * n % 37));
            (n * 7 % 13, text)
        };
        (0..500).map(row).collect()
    }

    /// The slow twin: a set of texts a group.
    fn sets(rows: &[(usize, Option<String>)]) -> Vec<i64> {
        let mut sets = vec![BTreeSet::new(); 13];
        for (group, text) in rows {
            sets[*group].extend(text.clone());
        }
        sets.iter().map(|set| set.len() as i64).collect()
    }

    #[test]
    fn counts_agree_with_sets_however_states_are_merged() {
        let rows = rows();
        let groups: Vec<usize> = rows.iter().map(|(group, _)| *group).collect();
        let texts: Vec<Option<&str>> = rows.iter().map(|(_, text)| text.as_deref()).collect();
        let mut whole = DistinctTexts::default();
        whole
            .update_batch(&[column(&texts)], &groups, None, 13)
            .expect("an update");
        let mut merged = DistinctTexts::default();
        for part in [0..200, 200..500] {
            let mut half = DistinctTexts::default();
            half.update_batch(
                &[column(&texts[part.clone()])],
                &groups[part.clone()],
                None,
                13,
            )
            .expect("an update");
            let state = half.state(EmitTo::All).expect("a state");
            let all: Vec<usize> = (0..13).collect();
            merged.merge_batch(&state, &all, 13).expect("a merge");
        }
        // Rows that are states of their own.
        let states = whole
            .convert_to_state(&[column(&texts)], None)
            .expect("states");
        merged.merge_batch(&states, &groups, 13).expect("a merge");
        assert_eq!(evaluated(&mut merged, EmitTo::All), sets(&rows));
        // Emitted in pieces, the groups behind move up.
        let expected = sets(&rows);
        assert_eq!(evaluated(&mut whole, EmitTo::First(5)), expected[..5]);
        whole
            .update_batch(&[column(&[Some("new")])], &[0], None, 8)
            .expect("an update");
        let mut rest = expected[5..].to_vec();
        rest[0] += 1;
        assert_eq!(evaluated(&mut whole, EmitTo::All), rest);
    }

    #[test]
    fn filtered_rows_do_not_count() {
        let filter = BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]);
        let texts = column(&[Some("a"), Some("b"), Some("c"), Some("a")]);
        let mut counts = DistinctTexts::default();
        counts
            .update_batch(&[texts], &[0; 4], Some(&filter), 1)
            .expect("an update");
        assert_eq!(evaluated(&mut counts, EmitTo::All), [1]);
    }
}
