//! Open files: reading, writing, positions, descriptors.

pub(crate) mod iovec;
