//! Reads pieces of a lake's files, as Parquet is read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

use super::{Store, StoreError};

/// Files that are on their way from S3 at once.
const READS_IN_FLIGHT: usize = 32;

impl Store {
    /// The contents of files, in their order; nothing for those that are not there.
    pub fn read_many(&self, paths: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let Self::S3 {
            client, runtime, ..
        } = self
        else {
            return paths.iter().map(|path| self.read(path)).collect();
        };
        let reads = paths.iter().map(|path| async move {
            let read = async { client.get(&self.location(path)).await?.bytes().await };
            match read.await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(source) => Err(self.remote("read", path, source)),
            }
        });
        let reads = futures::stream::iter(reads).buffered(READS_IN_FLIGHT);
        runtime.block_on(reads.try_collect())
    }
}

/// Reads pieces of one file.
pub enum StoreReader {
    Local {
        file: Arc<File>,
        length: u64,
    },
    S3 {
        client: Arc<AmazonS3>,
        runtime: Handle,
        location: ObjectPath,
        length: u64,
    },
}

impl Length for StoreReader {
    fn len(&self) -> u64 {
        match self {
            Self::Local { length, .. } | Self::S3 { length, .. } => *length,
        }
    }
}

impl ChunkReader for StoreReader {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        match self {
            Self::Local { file, .. } => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(start))?;
                Ok(Box::new(io::BufReader::new(file)))
            }
            Self::S3 { length, .. } => {
                let rest = self.get_bytes(start, (length - start) as usize)?;
                Ok(Box::new(io::Cursor::new(rest)))
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self {
            Self::Local { file, .. } => {
                let mut bytes = vec![0; length];
                std::os::unix::fs::FileExt::read_exact_at(&**file, &mut bytes, start)?;
                Ok(bytes.into())
            }
            Self::S3 {
                client,
                runtime,
                location,
                ..
            } => runtime
                .block_on(client.get_range(location, start..start + length as u64))
                .map_err(|error| ParquetError::External(Box::new(error))),
        }
    }
}
