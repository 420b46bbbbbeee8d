//! Which addresses of a stub are ours. They lie at the top, and an application's addresses end below.

use abi::PAGE_SIZE;

/// The lowest of the pages that every stub has.
pub(crate) const BASE: u64 = abi::TASK_SIZE - 4 * PAGE_SIZE;
/// The zygote's control page. Stubs have nothing here.
pub(crate) const CONTROL: u64 = BASE;
/// A stub's command page, read-only there.
pub(crate) const COMMANDS: u64 = BASE + PAGE_SIZE;
/// Code: the zygote's page, then the platform's.
pub(crate) const TEXT: u64 = BASE + 2 * PAGE_SIZE;
/// The platform's page. It begins with three entries, [`ENTRY`] bytes each: what the zygote calls once (it jumps back to
/// [`ZYGOTE_LOOP`]), and where a clone of the zygote starts.
pub(crate) const STUB_TEXT: u64 = TEXT + PAGE_SIZE;

/// Bytes for each entry of a page of code.
pub(crate) const ENTRY: u64 = 16;
/// Second entry of the zygote's page: what follows the platform's preparations.
pub(crate) const ZYGOTE_LOOP: u64 = TEXT + ENTRY;
/// Third entry of the zygote's page: ends with the status in ebx.
pub(crate) const ZYGOTE_FAIL: u64 = TEXT + 2 * ENTRY;
/// First entry of the platform's page.
pub(crate) const STUB_PREPARE: u64 = STUB_TEXT;
/// Second entry of the platform's page.
pub(crate) const STUB_START: u64 = STUB_TEXT + ENTRY;

/// Entries of the control page's ring.
pub(crate) const RING: u32 = 64;
/// Offsets in the control page: stubs asked for, stubs made, the ring of (slot of the command page, process id or error).
pub(crate) const WANTED: usize = 0;
/// See [`WANTED`].
pub(crate) const MADE: usize = 4;
/// See [`WANTED`].
pub(crate) const ENTRIES: usize = 64;

/// Stubs are children of the sentry, never of the zygote; have its descriptors, so that memory files can be named by
/// number; and send no signal when they end.
pub(crate) const STUB_FLAGS: i32 = libc::CLONE_FILES | libc::CLONE_FS | libc::CLONE_PARENT | libc::CLONE_UNTRACED;
