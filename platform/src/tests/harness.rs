//! What the tests need: a platform, a memory file with a program, and shorthands.

#![expect(clippy::disallowed_types, reason = "it only keeps tests apart that count processes")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use abi::{UserAddr, UserRange};

use crate::kvm::Kvm;
use crate::ptrace::Ptrace;
use crate::systrap::{Systrap, Variant};
use crate::{AddressSpace, Context, Event, MapOp, Platform, Prot, Regs, Resume};

/// Where programs are mapped, at offset 0 of the file.
pub(crate) const CODE: u64 = 0x40_0000;
/// Where their data is mapped, at [`DATA_OFFSET`] of the file.
pub(crate) const DATA: u64 = 0x50_0000;
pub(crate) const DATA_OFFSET: u64 = 0x1_0000;
pub(crate) const DATA_LEN: u64 = 0x1_0000;

/// Held by every test while it has stubs; the one that counts children holds it alone.
pub(crate) static STUBS: RwLock<()> = RwLock::new(());

/// A platform, or a variant of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ptrace,
    Systrap,
    SystrapFutex,
    SystrapEager,
    Kvm,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Ptrace, Self::Systrap, Self::SystrapFutex, Self::SystrapEager, Self::Kvm];

    fn make(self) -> Box<dyn Platform> {
        match self {
            Self::Ptrace => Box::new(Ptrace::new().unwrap()),
            Self::Systrap => Box::new(Systrap::with(Variant::Notify).unwrap()),
            Self::SystrapFutex => Box::new(Systrap::with(Variant::Futex).unwrap()),
            Self::SystrapEager => Box::new(Systrap::eagerly_direct().unwrap()),
            // Fewer virtual CPUs than some tests have threads.
            Self::Kvm => Box::new(Kvm::with(open_kvm().unwrap(), 3).unwrap()),
        }
    }
}

/// `/dev/kvm`, where there is one. Where not, that is said.
pub(crate) fn open_kvm() -> Option<OwnedFd> {
    match std::fs::File::options().read(true).write(true).open("/dev/kvm") {
        Ok(file) => Some(file.into()),
        Err(error) => {
            println!("skipped: /dev/kvm: {error}");
            None
        }
    }
}

/// Makes a test for each platform of functions that take its kind.
macro_rules! on_each_platform {
    ($($test:ident),+) => {
        crate::tests::harness::on_each_platform!(@ ptrace Ptrace $($test)+);
        crate::tests::harness::on_each_platform!(@ systrap Systrap $($test)+);
        crate::tests::harness::on_each_platform!(@ systrap_futex SystrapFutex $($test)+);
        crate::tests::harness::on_each_platform!(@ systrap_eager SystrapEager $($test)+);
        crate::tests::harness::on_kvm!($($test),+);
    };
    (@ $name:ident $kind:ident $($test:ident)+) => {
        mod $name {
            use crate::tests::harness::Kind;
            $(#[test]
            fn $test() {
                super::$test(Kind::$kind);
            })+
        }
    };
}
pub(crate) use on_each_platform;

/// The same on kvm alone.
macro_rules! on_kvm {
    ($($test:ident),+) => {
        mod kvm {
            use crate::tests::harness::{Kind, open_kvm};
            $(#[test]
            fn $test() {
                if open_kvm().is_some() {
                    super::$test(Kind::Kvm);
                }
            })+
        }
    };
}
pub(crate) use on_kvm;

pub(crate) struct World {
    pub(crate) platform: Box<dyn Platform>,
    pub(crate) file: Arc<OwnedFd>,
    _stubs: Option<RwLockReadGuard<'static, ()>>,
}

pub(crate) type Program = extern "C" fn();

impl World {
    pub(crate) fn new(kind: Kind) -> Self {
        let stubs = STUBS.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Self { _stubs: Some(stubs), ..Self::alone(kind) }
    }

    pub(crate) fn alone(kind: Kind) -> Self {
        // SAFETY: the name is a C string, the descriptor is new.
        let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC)) };
        // SAFETY: no memory is involved.
        assert_eq!(unsafe { libc::ftruncate(file.as_raw_fd(), 0x10_0000) }, 0);
        Self { platform: kind.make(), file: Arc::new(file), _stubs: None }
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) {
        // SAFETY: the buffer is live.
        let n = unsafe { libc::pwrite(self.file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), offset as i64) };
        assert_eq!(n, bytes.len() as isize);
    }

    pub(crate) fn read_u64(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        // SAFETY: the buffer is live.
        assert_eq!(unsafe { libc::pread(self.file.as_raw_fd(), bytes.as_mut_ptr().cast(), 8, offset as i64) }, 8);
        u64::from_le_bytes(bytes)
    }

    /// An address space with `program` at [`CODE`] and zeroes at [`DATA`].
    pub(crate) fn space(&self, program: Program) -> Arc<dyn AddressSpace> {
        // SAFETY: programs are followed by other code, and are shorter than this.
        let code = unsafe { std::slice::from_raw_parts(program as *const u8, 256) };
        self.write(0, code);
        let space = self.platform.new_address_space().unwrap();
        space.update(&[self.map(CODE, 0, 4096, Prot::READ_EXEC), self.map_data()]).unwrap();
        space
    }

    pub(crate) fn map(&self, at: u64, offset: u64, len: u64, prot: Prot) -> MapOp<'_> {
        MapOp::Map { at: UserAddr(at), len, file: &self.file, offset, prot }
    }

    pub(crate) fn map_data(&self) -> MapOp<'_> {
        self.map(DATA, DATA_OFFSET, DATA_LEN, Prot::READ_WRITE)
    }

    /// A context about to run the program.
    pub(crate) fn context(&self) -> Box<dyn Context> {
        let mut context = self.platform.new_context().unwrap();
        *context.regs().unwrap() = Regs::start(CODE, DATA + DATA_LEN);
        context
    }
}

pub(crate) fn range(start: u64, len: u64) -> UserRange {
    UserRange::new(UserAddr(start), len).unwrap()
}

/// Runs and expects a system call; returns its number and first argument.
#[track_caller]
pub(crate) fn syscall(context: &mut dyn Context, space: &Arc<dyn AddressSpace>, resume: Resume) -> (u64, u64) {
    match context.run(space, resume).unwrap() {
        Event::Syscall(call) => (call.nr, call.args[0]),
        other => panic!("{other:?}"),
    }
}
