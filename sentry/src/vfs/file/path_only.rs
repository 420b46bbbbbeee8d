//! Descriptors opened with O_PATH: they name a place and do nothing.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use super::FileOps;

#[derive(Debug)]
struct PathOnly;

impl FileOps for PathOnly {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// They are all the same.
pub(super) fn ops() -> Arc<dyn FileOps> {
    static OPS: LazyLock<Arc<PathOnly>> = LazyLock::new(|| Arc::new(PathOnly));
    Arc::clone(&OPS) as Arc<dyn FileOps>
}
