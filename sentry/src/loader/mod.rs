//! Programs into memory: what execve(2) does between opening a file and running it.
//!
//! First [`Program::open`] finds out what is to run: it follows `#!` lines, so that the caller knows whose set-id bits count.
//! Then [`Program::load`] makes a new address space: `elf` reads headers, `segments` maps the program and its interpreter,
//! `stack` lays out arguments, environment and the auxiliary vector. Nothing of the calling task is touched; if anything
//! fails the old program goes on.
//!
//! The file's bytes are reached through [`Mappable`] alone. Locks: those of the new address space.

mod elf;
mod reader;
mod script;
mod segments;
mod stack;
mod strings;

pub use strings::{ArgLimits, Strings};

use std::sync::Arc;

use abi::{Errno, UserAddr};
use platform::Platform;

use crate::error::Result;
use crate::mm::memfile::MemFile;
use crate::mm::vdso::Vdso;
use crate::mm::{Layout, Mappable, MemLimits, MemoryManager, Randomness};
use crate::vfs::File;

/// A file that is to be executed; permission was checked.
#[derive(Clone, Debug)]
pub struct Executable {
    /// Its bytes.
    pub object: Arc<dyn Mappable>,
    /// The open file, for /proc/PID/exe and maps.
    pub file: Option<Arc<File>>,
}

/// A program and what it is given, scripts resolved.
#[derive(Debug)]
pub struct Program {
    /// What is loaded: for a script its interpreter. Its set-id bits and file capabilities count.
    pub executable: Executable,
    /// AT_EXECFN: the path that execve(2) was given.
    path: Vec<u8>,
    argv: Strings,
    envp: Strings,
    /// The ELF interpreter, if it names one.
    interpreter: Option<Executable>,
    headers: elf::Headers,
}

/// Opens a path for execution, as execve(2) of the calling task would.
pub type Opener<'a> = &'a dyn Fn(&[u8]) -> Result<Executable>;

/// What a new program finds besides its file.
#[derive(Debug)]
pub struct LoadEnv<'a> {
    /// Where it will run.
    pub platform: Arc<dyn Platform>,
    /// Where its memory comes from.
    pub memfile: Arc<MemFile>,
    /// What it reads clocks with.
    pub vdso: Option<&'a Vdso>,
    /// The process's limits.
    pub limits: MemLimits,
    /// AT_UID, AT_EUID, AT_GID, AT_EGID, in the task's user namespace.
    pub ids: Ids,
    /// AT_SECURE: identities changed by set-id bits or file capabilities.
    pub secure: bool,
    /// Addresses are random (no ADDR_NO_RANDOMIZE).
    pub randomize: bool,
    /// ADDR_COMPAT_LAYOUT.
    pub legacy_layout: bool,
}

/// Identities as the auxiliary vector shows them.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "credentials(7) names them")]
pub struct Ids {
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    pub egid: u32,
}

/// A program that is ready to run.
#[derive(Debug)]
pub struct Image {
    /// Its memory.
    pub mm: Arc<MemoryManager>,
    /// Where it starts.
    pub ip: UserAddr,
    /// Its stack pointer.
    pub sp: UserAddr,
}

impl Executable {
    /// An open file; EACCES if it cannot be mapped and thus not be loaded.
    pub fn from_file(file: Arc<File>) -> Result<Self> {
        let object = file.ops().mappable(&file).map_err(|_| Errno::EACCES)?;
        Ok(Self { object, file: Some(file) })
    }
}

impl Program {
    /// Finds out what running `executable` means. `open` opens interpreters. `reachable` is false if `path` will not name
    /// the file for an interpreter (fexecve(3) of a close-on-exec descriptor), which makes scripts fail with ENOENT.
    pub fn open(
        memfile: &MemFile,
        executable: Executable,
        path: &[u8],
        argv: Strings,
        envp: Strings,
        reachable: bool,
        open: Opener<'_>,
    ) -> Result<Self> {
        let resolved = script::resolve(memfile, executable, path, argv, reachable, open)?;
        let script::Resolved { executable, argv, reader } = resolved;
        let headers = elf::Headers::read(&reader)?;
        let interpreter = match headers.interpreter(&reader)? {
            Some(path) => Some(open(&path)?),
            None => None,
        };
        Ok(Self { executable, path: path.to_vec(), argv, envp, interpreter, headers })
    }

    /// Makes the address space.
    pub fn load(self, env: &LoadEnv<'_>) -> Result<Image> {
        let random = if env.randomize { Randomness::new()? } else { Randomness::default() };
        let stack_limit = env.limits.stack.load(std::sync::atomic::Ordering::Relaxed);
        ArgLimits::new(stack_limit).check(&self.argv, &self.envp, &self.path)?;
        let layout = Layout::new(env.platform.user_range(), stack_limit, env.legacy_layout, &random);
        let mm = MemoryManager::new(Arc::clone(&env.platform), Arc::clone(&env.memfile), layout, env.limits.clone())?;
        mm.hold();
        let program = segments::map_program(&mm, &self, &random)?;
        let base = match &self.interpreter {
            Some(interpreter) => Some(segments::map_interpreter(&mm, &env.memfile, interpreter)?),
            None => None,
        };
        let stack = stack::Stack { env, random: &random, program: &program, base: base.as_ref() };
        let sp = stack.build(&mm, &self.path, &self.argv, &self.envp, self.headers.exec_stack())?;
        let ip = base.map_or(program.entry, |base| base.entry);
        mm.update_info(|info| info.exe = self.executable.file.clone());
        mm.release()?;
        Ok(Image { mm, ip, sp })
    }
}

#[cfg(test)]
mod tests;
