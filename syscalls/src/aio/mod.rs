//! Asynchronous I/O: io_setup(2), io_submit(2), io_getevents(2), io_cancel(2), io_destroy(2).

mod events;
mod submit;

pub(crate) use events::{io_getevents, io_pgetevents};
pub(crate) use submit::{io_cancel, io_submit};

use abi::{Errno, PAGE_SIZE, UserAddr};
use sentry::aio::Context;
use sentry::error::{Result, err};
use sentry::mm::{MapRequest, VmaName};
use sentry::platform::Prot;
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// io_setup(2): a context with room for `count` requests. Its number is where its ring is mapped.
pub(crate) fn io_setup(task: &mut CurrentTask, count: u32, id: UserPtr<u64>) -> Result<()> {
    let mm = task.mm();
    if mm.read(id)? != 0 {
        return err(Errno::EINVAL);
    }
    let context = Context::new(&task.kernel().aio, count, task.kernel().cpus)?;
    let prot = Prot { read: true, write: true, exec: false };
    let name = Some(VmaName::Special("/[aio] (deleted)"));
    let ring = mm.map(MapRequest { name, ..MapRequest::anonymous(PAGE_SIZE, prot) })?;
    let added = mm.aio.add(ring.0, context).and_then(|()| {
        mm.write(id, &ring.0).inspect_err(|_| {
            let _ = mm.aio.remove(ring.0);
        })
    });
    if added.is_err() {
        let _ = mm.unmap(ring, PAGE_SIZE);
    }
    added
}

/// io_destroy(2).
pub(crate) fn io_destroy(task: &mut CurrentTask, id: u64) -> Result<()> {
    task.mm().aio.remove(id)?;
    let _ = task.mm().unmap(UserAddr(id), PAGE_SIZE);
    Ok(())
}
