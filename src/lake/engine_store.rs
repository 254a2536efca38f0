//! The lake's place as an engine reads it: an object store whose paths are those of the lake.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;

use super::store::{Store, StoreError};

impl Store {
    /// The place as an object store whose paths are those of the lake.
    pub fn object_store(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        match self {
            Self::Local { root } => match LocalFileSystem::new_with_prefix(root) {
                Ok(folder) => Ok(Arc::new(folder)),
                Err(source) => Err(self.remote("open", "", source)),
            },
            Self::S3 { client, prefix, .. } if prefix.is_empty() => Ok(client.clone()),
            Self::S3 { client, prefix, .. } => {
                Ok(Arc::new(PrefixStore::new(client.clone(), prefix.as_str())))
            }
        }
    }
}
