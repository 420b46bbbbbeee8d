//! The stack of a new program: strings, the arrays that point to them, and the auxiliary vector (create_elf_tables).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::elf::{
    AT_BASE, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_EXECFN, AT_FLAGS, AT_GID, AT_HWCAP, AT_HWCAP2, AT_MINSIGSTKSZ,
    AT_NULL, AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PLATFORM, AT_RANDOM, AT_SECURE, AT_SYSINFO_EHDR, AT_UID,
    Phdr64,
};
use abi::{Errno, PAGE_SIZE, UserAddr};
use platform::Prot;
use zerocopy::IntoBytes;

use super::LoadEnv;
use super::segments::Loaded;
use super::strings::Strings;
use crate::error::{Result, err};
use crate::mm::{MapRequest, MemoryManager, Randomness, VmaFlags};

/// How much stack is there from the start, below the strings.
const ROOM: u64 = 128 << 10;
/// AT_CLKTCK: USER_HZ.
const CLOCK_TICKS: u64 = 100;
/// AT_PLATFORM.
const PLATFORM: &[u8] = b"x86_64\0";

/// What the stack is made of.
pub(super) struct Stack<'a> {
    pub(super) env: &'a LoadEnv<'a>,
    pub(super) random: &'a Randomness,
    pub(super) program: &'a Loaded,
    /// The ELF interpreter.
    pub(super) base: Option<&'a Loaded>,
}

/// Where the strings went.
struct Placed {
    path: UserAddr,
    platform: UserAddr,
    random: UserAddr,
    vdso: UserAddr,
}

impl Stack<'_> {
    /// Maps and fills it; returns the stack pointer.
    pub(super) fn build(
        &self,
        mm: &MemoryManager,
        path: &[u8],
        argv: &Strings,
        envp: &Strings,
        executable: bool,
    ) -> Result<UserAddr> {
        let top = self.top();
        let path_len = path.len() as u64 + 1;
        // A word at the very top stays zero, then the path, the environment, the arguments.
        let path_at = top - 8 - path_len;
        let env_at = path_at.checked_sub(envp.bytes().len() as u64).ok_or(Errno::E2BIG)?;
        let arg_at = env_at.checked_sub(argv.bytes().len() as u64).ok_or(Errno::E2BIG)?;
        let below = (arg_at - self.random.stack_pointer()) & !15;
        let platform_at = below - PLATFORM.len() as u64;
        let random_at = platform_at - 16;
        // Room for the tables is found before anything is written: the auxiliary vector has a fixed length.
        let entries = 1 + argv.len() as u64 + 1 + envp.len() as u64 + 1 + 2 * (self.auxv_len() as u64 + 1);
        let sp = (random_at & !15).checked_sub(entries * 8).ok_or(Errno::E2BIG)? & !15;
        self.map_stack(mm, sp, top, executable)?;
        let vdso = self.env.vdso.map_or(Ok(UserAddr::NULL), |vdso| vdso.map(mm, UserAddr(top)))?;

        mm.write_bytes(UserAddr(path_at), path)?;
        mm.write_bytes(UserAddr(env_at), envp.bytes())?;
        mm.write_bytes(UserAddr(arg_at), argv.bytes())?;
        mm.write_bytes(UserAddr(platform_at), PLATFORM)?;
        let mut random = [0; 16];
        host::random::fill(&mut random)?;
        mm.write_bytes(UserAddr(random_at), &random)?;

        let placed =
            Placed { path: UserAddr(path_at), platform: UserAddr(platform_at), random: UserAddr(random_at), vdso };
        let auxv = self.auxv(&placed);
        let mut table: Vec<u64> = Vec::with_capacity(usize::try_from(entries).unwrap_or(0));
        table.push(argv.len() as u64);
        push_pointers(&mut table, arg_at, argv);
        push_pointers(&mut table, env_at, envp);
        table.extend(auxv.iter().flat_map(|(kind, value)| [*kind, *value]));
        table.extend([AT_NULL, 0]);
        mm.write_bytes(UserAddr(sp), table.as_bytes())?;

        let auxv: Arc<[(u64, u64)]> = auxv.into();
        mm.update_info(|info| {
            info.start_stack = UserAddr(sp);
            info.arg_start = UserAddr(arg_at);
            info.arg_end = UserAddr(env_at);
            info.env_start = UserAddr(env_at);
            info.env_end = UserAddr(path_at);
            info.vdso = placed.vdso;
            info.auxv = auxv;
        });
        Ok(UserAddr(sp))
    }

    /// One past the stack.
    fn top(&self) -> u64 {
        let end = self.env.platform.user_range().end.page_down().0;
        end - self.random.stack()
    }

    fn map_stack(&self, mm: &MemoryManager, sp: u64, top: u64, exec: bool) -> Result<()> {
        let limit = self.env.limits.stack.load(Ordering::Relaxed);
        let used = top - UserAddr(sp).page_down().0;
        if used > limit.max(PAGE_SIZE) {
            return err(Errno::E2BIG);
        }
        let len = used.saturating_add(ROOM).min(limit & !(PAGE_SIZE - 1)).max(used);
        let request = MapRequest::anonymous(len, Prot { read: true, write: true, exec });
        let request = MapRequest { flags: VmaFlags::GROWSDOWN, ..request };
        mm.map(request.fixed_at(UserAddr(top - len))).map(drop)
    }

    fn auxv_len(&self) -> usize {
        let nothing = UserAddr::NULL;
        self.auxv(&Placed { path: nothing, platform: nothing, random: nothing, vdso: nothing }).len()
    }

    fn auxv(&self, placed: &Placed) -> Vec<(u64, u64)> {
        let ids = &self.env.ids;
        let mut auxv = Vec::with_capacity(24);
        if self.env.vdso.is_some() {
            auxv.push((AT_SYSINFO_EHDR, placed.vdso.0));
        }
        auxv.extend([
            (AT_MINSIGSTKSZ, host::auxv::value(AT_MINSIGSTKSZ)),
            (AT_HWCAP, host::cpu::hwcap().into()),
            (AT_PAGESZ, PAGE_SIZE),
            (AT_CLKTCK, CLOCK_TICKS),
            (AT_PHDR, self.program.headers.0),
            (AT_PHENT, size_of::<Phdr64>() as u64),
            (AT_PHNUM, self.program.header_count.into()),
            (AT_BASE, self.base.map_or(0, |base| base.bias)),
            (AT_FLAGS, 0),
            (AT_ENTRY, self.program.entry.0),
            (AT_UID, ids.uid.into()),
            (AT_EUID, ids.euid.into()),
            (AT_GID, ids.gid.into()),
            (AT_EGID, ids.egid.into()),
            (AT_SECURE, self.env.secure.into()),
            (AT_RANDOM, placed.random.0),
            (AT_HWCAP2, host::auxv::value(AT_HWCAP2)),
            (AT_EXECFN, placed.path.0),
            (AT_PLATFORM, placed.platform.0),
        ]);
        auxv
    }
}

fn push_pointers(table: &mut Vec<u64>, start: u64, strings: &Strings) {
    let mut at = start;
    for text in strings.iter() {
        table.push(at);
        at += text.len() as u64 + 1;
    }
    table.push(0);
}
