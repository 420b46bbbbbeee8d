//! The capabilities of the gofer.

use std::io;

use caps::{CapSet, Capability, CapsHashSet};

/// What serving files on behalf of any user needs.
const NEEDED: [Capability; 7] = [
    // New files are given to their owner.
    Capability::CAP_CHOWN,
    // The client has checked permissions as the kernel of the container.
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    // chmod, utimensat and O_NOATIME on files of any owner.
    Capability::CAP_FOWNER,
    // chmod of set-id files of any group.
    Capability::CAP_FSETID,
    // Device nodes, which containers may make as they may under other runtimes. They are never opened here.
    Capability::CAP_MKNOD,
    // File capabilities, which package managers set.
    Capability::CAP_SETFCAP,
];

/// Gives up all others for good.
pub(super) fn drop_all_but_needed() -> io::Result<()> {
    let error = |error: caps::errors::CapsError| io::Error::other(error.to_string());
    let permitted = caps::read(None, CapSet::Permitted).map_err(error)?;
    let kept: CapsHashSet = NEEDED.into_iter().filter(|cap| permitted.contains(cap)).collect();
    // Dropping from the bounding set needs a capability that goes next; without it there is nothing to gain by exec.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for cap in caps::read(None, CapSet::Bounding).map_err(error)?.difference(&kept) {
            caps::drop(None, CapSet::Bounding, *cap).map_err(error)?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(error)?;
    caps::clear(None, CapSet::Inheritable).map_err(error)?;
    caps::set(None, CapSet::Effective, &kept).map_err(error)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(error)
}
