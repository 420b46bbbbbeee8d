//! Rewritten `syscall` sites: jumps to gates, through which calls are cheaper on some platforms.
//!
//! `platform::rewrite` knows the bytes; here is decided where they may be put, and when they go away again. Only the private,
//! executable, unwritable text of mapped files is rewritten, in private copies of its pages, while no application code runs
//! here. The gates have pages of their own in the application's address space, which nothing shows.
//!
//! The original is put back, for good, before anybody could be misled: before a debugger attaches, before the code becomes
//! writable or moves, and when the application wants the addresses of the gates.
//!
//! Locks: `Mm`, and the platform's.

use abi::{Errno, UserAddr, UserRange};
use platform::rewrite::{self, AFTER, BEFORE, GATES};
use platform::{Prot, SyscallArgs};

use super::MemoryManager;
use super::access::Need;
use super::change::Change;
use super::vma::{Vma, VmaFlags};
use crate::error::{Result, err};

/// What was rewritten in an address space.
#[derive(Clone, Debug, Default)]
pub(super) struct Rewrites {
    /// Where, and what was there before.
    sites: Vec<(UserAddr, Vec<u8>)>,
    /// For each gate, the instruction that leads there.
    gates: Vec<UserAddr>,
    /// One of them has the address that there is only one of.
    lone: bool,
    /// Nothing is rewritten any more.
    given_up: bool,
}

impl Rewrites {
    fn any_in(&self, range: UserRange) -> bool {
        self.sites.iter().any(|(at, _)| range.contains(*at))
    }
}

impl MemoryManager {
    /// Rewrites the instruction behind a call that is made often, if that is possible.
    pub fn rewrite(&self, call: &SyscallArgs) {
        if self.platform.gate_entries().is_none() || call.compat {
            return;
        }
        if let Err(error) = self.change(|change| change.rewrite(call)) {
            tracing::debug!(ip = %format_args!("{:#x}", call.ip.0), nr = call.nr, %error, "a site is not rewritten");
        }
    }

    /// Where code that is at `ip` is in the application's eyes: one that is in a gate has yet to go there.
    #[must_use]
    pub fn outside_gates(&self, ip: UserAddr) -> UserAddr {
        if !GATES.contains(ip) {
            return ip;
        }
        let number = usize::try_from((ip.0 - GATES.start.0) / rewrite::GATE).unwrap_or(usize::MAX);
        self.space.read().rewrites.gates.get(number).copied().unwrap_or(ip)
    }

    /// Puts the original code back and leaves it so.
    pub fn stop_rewriting(&self) {
        if self.platform.gate_entries().is_some() {
            let _ = self.change(|change| change.restore());
        }
    }
}

impl Change<'_> {
    fn rewrite(&mut self, call: &SyscallArgs) -> Result<()> {
        let entries = self.mm.platform.gate_entries().ok_or(Errno::ENOSYS)?;
        if self.space.rewrites.given_up {
            return err(Errno::EPERM);
        }
        let start = UserAddr(call.ip.0.checked_sub(BEFORE).ok_or(Errno::EFAULT)?);
        let around = UserRange::new(start, BEFORE + AFTER)?;
        let vma = self.space.vmas.find(start).filter(|vma| vma.range.contains_range(around) && may_rewrite(vma));
        if vma.is_none() {
            return err(Errno::EACCES);
        }
        let (mut before, mut after) = ([0; BEFORE as usize], [0; AFTER as usize]);
        self.peek(start, &mut before)?;
        self.peek(call.ip, &mut after)?;
        let free = (self.space.rewrites.gates.len(), !self.space.rewrites.lone);
        let plan = rewrite::rewrite(&entries, free, call, &before, &after).ok_or(Errno::EILSEQ)?;
        if free.0 == 0 {
            self.map_gates()?;
        }
        for (at, bytes) in &plan.gate {
            self.poke(*at, bytes)?;
        }
        let mut old = Vec::new();
        for (at, bytes) in &plan.code {
            let mut was = vec![0; bytes.len()];
            self.peek(*at, &mut was)?;
            // The private copy is made now; the change itself is for when nobody runs.
            self.poke(*at, &was)?;
            old.push((*at, was));
        }
        self.poke_paused(&plan.code)?;
        self.space.rewrites.lone |= plan.lone;
        self.space.rewrites.gates.extend(plan.code.last().map(|(at, _)| *at));
        self.space.rewrites.sites.extend(old);
        tracing::debug!(ip = %format_args!("{:#x}", call.ip.0), nr = call.nr, "a site is rewritten");
        Ok(())
    }

    /// The pages of the gates, if their addresses are free.
    fn map_gates(&mut self) -> Result<()> {
        if !self.is_free(GATES) || !self.space.layout.user.contains_range(GATES) {
            self.space.rewrites.given_up = true;
            return err(Errno::EEXIST);
        }
        self.insert_area(Vma {
            range: GATES,
            prot: Prot::READ_EXEC,
            max: Prot { read: true, write: true, exec: true },
            flags: VmaFlags::SPECIAL | VmaFlags::HIDDEN | VmaFlags::DONTDUMP,
            object: None,
            name: None,
        });
        Ok(())
    }

    /// Puts the original code back and leaves it so.
    pub(super) fn restore(&mut self) -> Result<()> {
        let rewrites = &mut self.space.rewrites;
        rewrites.given_up = true;
        let sites = std::mem::take(&mut rewrites.sites);
        if sites.is_empty() {
            return Ok(());
        }
        // Backwards: what jumps somewhere goes before what it jumps to.
        let sites: Vec<_> = sites.into_iter().rev().collect();
        match self.poke_paused(&sites) {
            // Somebody does not let himself be stopped. It is his code.
            Err(_) => sites.iter().try_for_each(|(at, bytes)| self.poke(*at, bytes)),
            Ok(()) => Ok(()),
        }
    }

    /// `range` is wanted for something else.
    #[inline]
    pub(super) fn make_way(&mut self, range: UserRange) {
        if !self.space.rewrites.gates.is_empty() && range.intersect(GATES).is_some() {
            let _ = self.restore();
            self.space.rewrites.gates.clear();
            self.remove_areas(GATES);
        }
    }

    /// Code in `range` becomes writable or moves.
    #[inline]
    pub(super) fn code_changes(&mut self, range: UserRange) {
        if self.space.rewrites.any_in(range) {
            let _ = self.restore();
        }
    }

    /// Code in `range` goes away.
    #[inline]
    pub(super) fn code_goes(&mut self, range: UserRange) {
        self.space.rewrites.sites.retain(|(at, _)| !range.contains(*at));
    }

    fn poke_paused(&mut self, parts: &[(UserAddr, Vec<u8>)]) -> Result<()> {
        let mut result = Ok(());
        let host = std::sync::Arc::clone(&self.mm.host);
        host.pause(&mut || result = parts.iter().try_for_each(|(at, bytes)| self.poke(*at, bytes)))?;
        result
    }

    fn peek(&mut self, at: UserAddr, bytes: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let (at, rest) = (at.wrapping_add(done as u64), &mut bytes[done..]);
            self.resolve(at, false, true).map_err(|_| Errno::EFAULT)?;
            let slice = self.space.slice(&self.mm.memfile, at, rest.len(), Need::ForcedRead)?;
            done += slice.ok_or(Errno::EFAULT)?.read(rest)?;
        }
        Ok(())
    }

    fn poke(&mut self, at: UserAddr, bytes: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let (at, rest) = (at.wrapping_add(done as u64), &bytes[done..]);
            self.resolve(at, true, true).map_err(|_| Errno::EFAULT)?;
            let slice = self.space.slice(&self.mm.memfile, at, rest.len(), Need::ForcedWrite)?;
            done += slice.ok_or(Errno::EFAULT)?.write(rest)?;
        }
        Ok(())
    }
}

fn may_rewrite(vma: &Vma) -> bool {
    let from_file = vma.object.as_ref().is_some_and(|object| object.file.is_some());
    from_file && !vma.flags.intersects(VmaFlags::SHARED | VmaFlags::SPECIAL) && vma.prot.exec && !vma.prot.write
}
