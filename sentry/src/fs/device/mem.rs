//! Major 1: null, zero, full, random, urandom, kmsg.

use std::any::Any;
use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;

use crate::error::{Result, SysResult, err};
use crate::io::{IoDst, IoSrc};
use crate::mm::Mappable;
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps};

pub(super) const MAJOR: u32 = 1;

/// How much is zeroed before looking whether the task was killed.
const ZERO_PIECE: usize = 256 << 10;
/// How much random data is made at a time.
const RANDOM_PIECE: usize = 4096;

/// A memory device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mem {
    Null,
    Zero,
    Full,
    Random,
}

pub(super) fn open(_: &CurrentTask, minor: u32, _: OpenFlags) -> Result<Arc<dyn FileOps>> {
    Ok(Arc::new(match minor {
        3 => Mem::Null,
        5 => Mem::Zero,
        7 => Mem::Full,
        8 | 9 => Mem::Random,
        _ => return err(Errno::ENXIO),
    }))
}

impl FileOps for Mem {
    fn read(&self, _: &File, task: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let len = dst.remaining();
        match self {
            Self::Null => Ok(0),
            // Who is killed for what this takes must not go on taking it.
            Self::Zero | Self::Full => dst.fill(len, |slice| {
                let mut done = 0;
                while done < slice.len() && !task.is_dying() {
                    let piece = (slice.len() - done).min(ZERO_PIECE);
                    done += slice.skip(done).first(piece).zero()?;
                }
                Ok(done)
            }),
            Self::Random => {
                let mut bytes = [0; RANDOM_PIECE];
                dst.fill(len, |slice| {
                    let mut done = 0;
                    while done < slice.len() {
                        let piece = (slice.len() - done).min(RANDOM_PIECE);
                        host::random::fill(&mut bytes[..piece])?;
                        done += slice.skip(done).write(&bytes[..piece])?;
                    }
                    Ok(done)
                })
            }
        }
    }

    fn write(&self, _: &File, _: &CurrentTask, _: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        match self {
            Self::Full => err(Errno::ENOSPC),
            // What is written to the random devices would only stir a pool that is the host's.
            Self::Null | Self::Zero | Self::Random => Ok(src.skip_rest()),
        }
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stays_at_start(&self) -> bool {
        true
    }

    fn seek_end(&self, _: &File) -> Result<u64> {
        Ok(0)
    }

    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        // RNDGETENTCNT
        if *self == Self::Random && cmd == 0x8004_5200 {
            task.mm().write(crate::user::UserPtr::new(abi::UserAddr(arg)), &256i32)?;
            return Ok(0);
        }
        err(Errno::ENOTTY)
    }

    fn mappable(&self, _: &File) -> Result<Arc<dyn Mappable>> {
        // /dev/zero maps as anonymous memory: the memory manager asks `is_zero`.
        err(Errno::ENODEV)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Whether mapping this file means anonymous memory, as mapping /dev/zero does.
#[must_use]
pub fn is_zero(file: &File) -> bool {
    file.ops_as::<Mem>() == Some(&Mem::Zero)
}
