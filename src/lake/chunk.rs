//! Encodes one column chunk: its dictionary and pages, with bounds, page index and bloom filter.
//!
//! parquet's own column writer looks every value up to find its place in the dictionary. Rows come
//! here with their values' codes, so that a value costs a few instructions. The file around the
//! chunks is parquet's.

mod bounds;
mod plain;

use std::cell::RefCell;

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, Type, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::hybrid;
use crate::event::column::{NO_VALUE, Value};
use bounds::{Bounds, Order, short, widen};
use plain::Plain;

/// On these columns the fastest level writes fewer bytes than zstd's default of 3.
const ZSTD_LEVEL: i32 = 1;

/// Dictionaries of texts that repeat, user identities above all, may grow to this, in bytes.
const DICTIONARY_BYTES: usize = 4 << 20;

/// Data pages, in bytes: Security Lake asks for at most 1 MB, readers skip by page.
const DATA_PAGE_BYTES: usize = 512 << 10;

/// Rows of a data page, as parquet's own writer has them.
const DATA_PAGE_ROWS: usize = 20_000;

/// Share of look-ups that a bloom filter lets pass in vain.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    /// A page's body; as large as a page gets.
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How the chunks of a column are encoded.
#[derive(Debug, Clone)]
pub struct ChunkFormat {
    pub column: ColumnDescPtr,
    /// Whether bounds let readers skip pages and row groups.
    pub has_bounds: bool,
    pub has_bloom_filter: bool,
}

/// The values of a chunk, in the order they are written.
pub enum Values<'v> {
    /// Codes of the dictionary's values; [`NO_VALUE`] where a row has none.
    Coded {
        codes: Vec<u32>,
        dictionary: Vec<Value<'v>>,
    },
    Texts(Vec<Option<&'v str>>),
    Numbers(Vec<Option<i64>>),
    Flags(Vec<Option<bool>>),
    /// This many rows without a value.
    Absent(usize),
}

/// An encoded chunk, to be appended to a row group.
pub struct Chunk {
    pub bytes: Bytes,
    pub close: ColumnCloseResult,
}

/// Encodes a chunk.
pub fn encode(format: &ChunkFormat, values: &Values<'_>) -> Result<Chunk, ParquetError> {
    let mut writer = ChunkWriter::new(format);
    let mut bloom_filter = None;
    match values {
        Values::Absent(rows) => writer.absent(*rows)?,
        Values::Coded { codes, dictionary } if dictionary.is_empty() => {
            writer.absent(codes.len())?;
        }
        Values::Coded { codes, dictionary } => {
            bloom_filter =
                format.bloom_filter(dictionary.iter().filter_map(|value| match value {
                    Value::Text(text) => Some(*text),
                    Value::Number(_) | Value::Flag(_) => None,
                }))?;
            let bytes: usize = dictionary.iter().map(|value| value.size_bytes()).sum();
            if bytes <= DICTIONARY_BYTES {
                writer.coded(codes, dictionary)?;
            } else {
                let value = |code: &u32| dictionary.get(*code as usize).copied();
                writer.plain(&codes.iter().map(value).collect::<Vec<_>>())?;
            }
        }
        Values::Texts(texts) => {
            // The operations of an event repeat its texts one behind another.
            let runs = texts.chunk_by(|a, b| a == b);
            bloom_filter = format.bloom_filter(runs.filter_map(|run| run[0]))?;
            writer.plain(texts)?;
        }
        Values::Numbers(numbers) => writer.plain(numbers)?,
        Values::Flags(flags) => writer.plain(flags)?,
    }
    writer.finish(bloom_filter)
}

impl ChunkFormat {
    fn bloom_filter<'v>(
        &self,
        texts: impl Iterator<Item = &'v str> + Clone,
    ) -> Result<Option<Sbbf>, ParquetError> {
        if !self.has_bloom_filter {
            return Ok(None);
        }
        let distinct = texts.clone().count().max(1) as u64;
        let mut filter = Sbbf::new_with_ndv_fpp(distinct, BLOOM_FALSE_POSITIVES)?;
        texts.for_each(|text| filter.insert(text));
        Ok(Some(filter))
    }

    fn physical(&self) -> Type {
        self.column.physical_type()
    }

    fn is_required(&self) -> bool {
        self.column.max_def_level() == 0
    }
}

/// The page under way.
struct PageValues<'v> {
    encoding: Encoding,
    rows: usize,
    nulls: usize,
    bounds: Bounds<'v>,
}

struct ChunkWriter<'f, 'v> {
    format: &'f ChunkFormat,
    sink: TrackedWrite<Vec<u8>>,
    /// The body of the page under way.
    body: Vec<u8>,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
    page_stats: Vec<PageEncodingStats>,
    bounds: Bounds<'v>,
    last_bounds: Bounds<'v>,
    is_ascending: bool,
    rows: usize,
    nulls: usize,
    uncompressed_bytes: usize,
    compressed_bytes: usize,
    data_page_offset: Option<u64>,
    has_dictionary: bool,
}

impl<'f, 'v> ChunkWriter<'f, 'v> {
    fn new(format: &'f ChunkFormat) -> Self {
        let mut column_index = ColumnIndexBuilder::new(format.physical());
        if !format.has_bounds {
            column_index.to_invalid();
        }
        Self {
            format,
            sink: TrackedWrite::new(Vec::new()),
            body: BODY.take(),
            column_index,
            offset_index: OffsetIndexBuilder::new(),
            page_stats: Vec::new(),
            bounds: None,
            last_bounds: None,
            is_ascending: true,
            rows: 0,
            nulls: 0,
            uncompressed_bytes: 0,
            compressed_bytes: 0,
            data_page_offset: None,
            has_dictionary: false,
        }
    }

    /// Writes the dictionary, and the codes as data pages.
    fn coded(&mut self, codes: &[u32], dictionary: &[Value<'v>]) -> Result<(), ParquetError> {
        self.dictionary_page(dictionary)?;
        let width = hybrid::bit_width(dictionary.len() as u32 - 1);
        let order = Order::of(dictionary, self.format.has_bounds);
        let mut present = Vec::new();
        for codes in codes.chunks(DATA_PAGE_ROWS) {
            let present = match codes.contains(&NO_VALUE) {
                false => codes,
                true => {
                    present.clear();
                    present.extend(codes.iter().filter(|code| **code != NO_VALUE));
                    &present
                }
            };
            self.levels(codes.iter().map(|code| *code != NO_VALUE), present.len());
            self.body.push(width as u8);
            hybrid::encode(present, width, &mut self.body);
            self.data_page(PageValues {
                encoding: Encoding::RLE_DICTIONARY,
                rows: codes.len(),
                nulls: codes.len() - present.len(),
                bounds: order.bounds(present),
            })?;
        }
        Ok(())
    }

    /// Writes rows without values.
    fn absent(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.levels(std::iter::repeat_n(false, rows), 0);
        self.data_page(PageValues {
            encoding: Encoding::PLAIN,
            rows,
            nulls: rows,
            bounds: None,
        })
    }

    /// Writes the values as they are.
    fn plain<P: Plain<'v>>(&mut self, values: &[Option<P>]) -> Result<(), ParquetError> {
        let mut rest = values;
        while !rest.is_empty() {
            let mut bytes = 0;
            let mut rows = 0;
            while rows < rest.len().min(DATA_PAGE_ROWS) && (rows == 0 || bytes < DATA_PAGE_BYTES) {
                bytes += rest[rows].map_or(0, P::size_bytes);
                rows += 1;
            }
            let (page, behind) = rest.split_at(rows);
            rest = behind;
            let present = page.iter().filter(|value| value.is_some()).count();
            self.levels(page.iter().map(Option::is_some), present);
            let values = page.iter().flatten().copied();
            P::push(values.clone(), self.format.physical(), &mut self.body);
            let bounds = match self.format.has_bounds {
                true => values.clone().min().zip(values.max()),
                false => None,
            };
            self.data_page(PageValues {
                encoding: Encoding::PLAIN,
                rows,
                nulls: rows - present,
                bounds: bounds.map(|(min, max)| (min.into(), max.into())),
            })?;
        }
        Ok(())
    }

    /// Begins a data page's body with its definition levels: which rows have a value.
    fn levels(&mut self, is_present: impl ExactSizeIterator<Item = bool>, present: usize) {
        self.body.clear();
        if self.format.is_required() {
            return;
        }
        self.body.extend_from_slice(&[0; size_of::<u32>()]);
        let rows = is_present.len();
        if present == 0 || present == rows {
            hybrid::encode_run(u32::from(present > 0), rows, 1, &mut self.body);
        } else {
            let levels: Vec<u32> = is_present.map(u32::from).collect();
            hybrid::encode(&levels, 1, &mut self.body);
        }
        let length = (self.body.len() - size_of::<u32>()) as u32;
        self.body[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
    }

    fn dictionary_page(&mut self, dictionary: &[Value<'v>]) -> Result<(), ParquetError> {
        self.body.clear();
        let values = dictionary.iter().copied();
        Plain::push(values, self.format.physical(), &mut self.body);
        let page = Page::DictionaryPage {
            buf: compress(&self.body)?,
            num_values: dictionary.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.page(page)?;
        self.has_dictionary = true;
        Ok(())
    }

    fn data_page(&mut self, values: PageValues<'v>) -> Result<(), ParquetError> {
        let page = Page::DataPage {
            buf: compress(&self.body)?,
            num_values: values.rows as u32,
            encoding: values.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = self.page(page)?;
        self.data_page_offset.get_or_insert(spec.offset);
        self.offset_index.append_row_count(values.rows as i64);
        self.offset_index
            .append_offset_and_size(spec.offset as i64, spec.compressed_size as i32);
        self.index_bounds(&values);
        self.rows += values.rows;
        self.nulls += values.nulls;
        Ok(())
    }

    /// Enters a page into the column index, as long as every page has bounds that fit there.
    fn index_bounds(&mut self, page: &PageValues<'v>) {
        self.bounds = widen(self.bounds, page.bounds);
        if !self.column_index.valid() {
            return;
        }
        let is_null = page.nulls == page.rows;
        let nulls = page.nulls as i64;
        match short(page.bounds) {
            None if is_null => self
                .column_index
                .append(true, Vec::new(), Vec::new(), nulls),
            None => self.column_index.to_invalid(),
            Some((min, max)) => {
                self.is_ascending &= self
                    .last_bounds
                    .is_none_or(|(low, high)| low <= min && high <= max);
                self.last_bounds = Some((min, max));
                let physical = self.format.physical();
                let (min, max) = (
                    bounds::bytes_of(min, physical),
                    bounds::bytes_of(max, physical),
                );
                self.column_index.append(false, min, max, nulls);
            }
        }
    }

    fn page(&mut self, page: Page) -> Result<PageWriteSpec, ParquetError> {
        let (page_type, encoding) = (page.page_type(), page.encoding());
        let page = CompressedPage::new(page, self.body.len());
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed_bytes += spec.uncompressed_size;
        self.compressed_bytes += spec.compressed_size;
        match self.page_stats.last_mut() {
            Some(last) if last.page_type == page_type => last.count += 1,
            _ => self.page_stats.push(PageEncodingStats {
                page_type,
                encoding,
                count: 1,
            }),
        }
        Ok(spec)
    }

    fn finish(mut self, bloom_filter: Option<Sbbf>) -> Result<Chunk, ParquetError> {
        let mut encodings = vec![Encoding::RLE];
        encodings.extend(self.page_stats.iter().map(|stats| stats.encoding));
        let bounds = short(self.bounds).filter(|_| self.format.has_bounds);
        let metadata = ColumnChunkMetaData::builder(self.format.column.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_encodings(encodings)
            .set_page_encoding_stats(self.page_stats)
            .set_total_compressed_size(self.compressed_bytes as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(self.data_page_offset.unwrap_or(0) as i64)
            .set_dictionary_page_offset(self.has_dictionary.then_some(0))
            .set_statistics(bounds::statistics(
                self.format.physical(),
                bounds,
                self.nulls as u64,
            ))
            .build()?;
        let column_index = match self.column_index.valid() {
            true => {
                self.column_index
                    .set_boundary_order(match self.is_ascending {
                        true => BoundaryOrder::ASCENDING,
                        false => BoundaryOrder::UNORDERED,
                    });
                Some(self.column_index.build()?)
            }
            false => None,
        };
        if self.body.capacity() <= 2 * DATA_PAGE_BYTES {
            BODY.set(self.body);
        }
        let bytes = Bytes::from(self.sink.into_inner()?);
        Ok(Chunk {
            close: ColumnCloseResult {
                bytes_written: bytes.len() as u64,
                rows_written: self.rows as u64,
                metadata,
                bloom_filter,
                column_index,
                offset_index: Some(self.offset_index.build()),
            },
            bytes,
        })
    }
}

/// Compresses a page, with a context that each thread uses again.
fn compress(body: &[u8]) -> Result<Bytes, ParquetError> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        let compressor = match compressor {
            Some(compressor) => compressor,
            None => compressor.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        Ok(compressor.compress(body)?.into())
    })
}
