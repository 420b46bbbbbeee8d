//! Pipes and what moves bytes between files: pipe(2), splice(2), tee(2), vmsplice(2); eventfd(2).

pub(crate) mod eventfd;
pub(crate) mod pipe;
pub(crate) mod splice;
