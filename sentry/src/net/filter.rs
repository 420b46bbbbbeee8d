//! Packet filters of sockets: SO_ATTACH_FILTER and its kin, socket(7).
//!
//! A filter is a classic program ([`crate::bpf`]) that sees what arrives as Linux's socket buffer has it, from the header of the
//! socket's own layer on, and says how much of it the socket gets. Lock: a leaf over the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::seccomp::{
    BPF_MAXINSNS, SKF_AD_HATYPE, SKF_AD_IFINDEX, SKF_AD_NLATTR, SKF_AD_NLATTR_NEST, SKF_AD_PKTTYPE, SKF_AD_PROTOCOL,
    SKF_AD_RANDOM, SKF_LL_OFF, SKF_NET_OFF, SockFilter, SockFprog,
};
use abi::socket::{SO_ATTACH_BPF, SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER};
use abi::{Errno, UserAddr};
use sync::Mutex;
use zerocopy::{FromBytes, IntoBytes};

use crate::bpf::{Data, Dialect, Program};
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::task::CurrentTask;
use crate::user::UserPtr;

/// The filter of one socket.
#[derive(Debug, Default)]
pub struct Filter {
    program: Mutex<Option<Arc<Program>>, Leaf>,
    /// Whether there is one, for those who ask with each packet.
    attached: AtomicBool,
    /// SO_LOCK_FILTER: it stays.
    locked: AtomicBool,
}

/// What a filter looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View<'a> {
    /// The packet from its outermost header on.
    pub(super) whole: &'a [u8],
    /// Where the network layer's header begins.
    pub(super) network: usize,
    /// Where the program begins to count.
    pub(super) data: usize,
    /// ETH_P_*.
    pub(super) protocol: u16,
    /// PACKET_HOST and such.
    pub(super) kind: u8,
    /// The device.
    pub(super) device: u32,
    /// ARPHRD_*.
    pub(super) hardware: u16,
}

impl View<'_> {
    fn data(&self) -> &[u8] {
        self.whole.get(self.data..).unwrap_or_default()
    }

    /// SKF_AD_NLATTR: where the attribute of a type is, looked for from an offset on; 0 for nowhere.
    fn attribute(&self, from: u32, kind: u32, nested: bool) -> u32 {
        let data = self.data();
        let find = |bytes: &[u8], mut at: usize, end: usize| loop {
            let head = bytes.get(at..end)?.first_chunk::<4>()?;
            let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
            if len < 4 || at.checked_add(len)? > end {
                return None;
            }
            if u32::from(u16::from_ne_bytes([head[2], head[3]]) & abi::netlink::NLA_TYPE_MASK) == kind {
                return Some(at);
            }
            at = at.checked_add(len.next_multiple_of(4))?;
        };
        let Ok(from) = usize::try_from(from) else { return 0 };
        let found = if nested {
            data.get(from..).and_then(|rest| rest.first_chunk::<2>()).and_then(|len| {
                let end = from.checked_add(usize::from(u16::from_ne_bytes(*len))).filter(|end| *end <= data.len())?;
                find(data, from + 4, end)
            })
        } else {
            find(data, from, data.len())
        };
        found.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
    }
}

impl Data for View<'_> {
    fn len(&self) -> u32 {
        u32::try_from(self.data().len()).unwrap_or(u32::MAX)
    }

    fn load(&self, at: u32, width: usize) -> Option<u32> {
        let start = match at {
            SKF_NET_OFF.. => usize::try_from(at - SKF_NET_OFF).ok()?.checked_add(self.network)?,
            SKF_LL_OFF.. => usize::try_from(at - SKF_LL_OFF).ok()?,
            _ => usize::try_from(at).ok()?.checked_add(self.data)?,
        };
        let bytes = self.whole.get(start..start.checked_add(width)?)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    fn beside(&self, what: u32, a: u32, x: u32) -> u32 {
        match what {
            SKF_AD_PROTOCOL => self.protocol.into(),
            SKF_AD_PKTTYPE => self.kind.into(),
            SKF_AD_IFINDEX => self.device,
            SKF_AD_HATYPE => self.hardware.into(),
            SKF_AD_NLATTR => self.attribute(a, x, false),
            SKF_AD_NLATTR_NEST => self.attribute(a, x, true),
            SKF_AD_RANDOM => {
                let mut bytes = [0; 4];
                // Without chance it is no chance.
                let _ = host::random::fill(&mut bytes);
                u32::from_ne_bytes(bytes)
            }
            // No mark, no queue, no hash, the first processor, no VLAN tag beside the packet, no payload told apart.
            _ => 0,
        }
    }
}

impl Filter {
    /// The program, if there is one.
    pub(super) fn program(&self) -> Option<Arc<Program>> {
        if !self.attached.load(Ordering::Acquire) {
            return None;
        }
        self.program.lock().clone()
    }

    /// What an accepted connection takes over.
    pub(super) fn inherited(&self) -> Self {
        let program = self.program();
        Self {
            attached: AtomicBool::new(program.is_some()),
            program: Mutex::new(program),
            locked: AtomicBool::new(self.locked.load(Ordering::Relaxed)),
        }
    }

    /// Whether it is locked.
    pub(super) fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    fn put(&self, program: Option<Arc<Program>>) {
        let mut held = self.program.lock();
        self.attached.store(program.is_some(), Ordering::Release);
        let old = std::mem::replace(&mut *held, program);
        drop((held, old));
    }

    /// How many bytes of what arrives a socket gets, counted from where the program counts; `None` for a packet that is
    /// thrown away. Without a filter that is all.
    pub(super) fn verdict(&self, view: impl FnOnce(&dyn Fn(View<'_>) -> u32) -> u32) -> Option<usize> {
        let Some(program) = self.program() else { return Some(usize::MAX) };
        match view(&|view| program.run(&view)) {
            0 => None,
            n => Some(usize::try_from(n).unwrap_or(usize::MAX)),
        }
    }
}

/// Whether an option is about filters.
#[must_use]
pub fn is_option(name: i32) -> bool {
    matches!(name, SO_ATTACH_FILTER | SO_DETACH_FILTER | SO_LOCK_FILTER | SO_ATTACH_BPF)
}

/// setsockopt(2) of these.
pub fn set(task: &CurrentTask, filter: &Filter, name: i32, value: &[u8]) -> Result<()> {
    let number = value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL)?;
    if name == SO_LOCK_FILTER {
        if number == 0 && filter.is_locked() {
            return err(Errno::EPERM);
        }
        filter.locked.store(number != 0, Ordering::Relaxed);
        return Ok(());
    }
    match name {
        SO_ATTACH_FILTER => {
            let program = SockFprog::read_from_bytes(value).map_err(|_| Errno::EINVAL)?;
            if filter.is_locked() {
                return err(Errno::EPERM);
            }
            let len = usize::from(program.len);
            if program.filter == 0 || len == 0 || len > BPF_MAXINSNS {
                return err(Errno::EINVAL);
            }
            let mut code = vec![SockFilter::default(); len];
            task.mm().read_bytes(UserAddr(program.filter), code.as_mut_bytes())?;
            filter.put(Some(Arc::new(Program::check(code, Dialect::Packet)?)));
            Ok(())
        }
        SO_DETACH_FILTER if filter.is_locked() => err(Errno::EPERM),
        SO_DETACH_FILTER if filter.program().is_none() => err(Errno::ENOENT),
        SO_DETACH_FILTER => {
            filter.put(None);
            Ok(())
        }
        _ if filter.is_locked() => err(Errno::EPERM),
        // There are no programs of the new kind, so that no file is one.
        _ => {
            task.files().get(number)?;
            err(Errno::EINVAL)
        }
    }
}

/// Runs a program over a packet whose headers are anywhere.
#[cfg(fuzzing)]
pub(crate) fn fuzzing(code: &[u8], packet: &[u8]) {
    let code: Vec<_> = code.chunks_exact(8).filter_map(|one| SockFilter::read_from_bytes(one).ok()).collect();
    let Ok(program) = Program::check(code, Dialect::Packet) else { return };
    for data in [0, 14, packet.len(), usize::MAX] {
        let _ = program.run(&View { whole: packet, network: data, data, ..View::default() });
    }
}

/// SO_GET_FILTER: writes the program where there is room for it; both lengths are numbers of instructions.
pub fn get(task: &CurrentTask, filter: &Filter, to: UserAddr, room: usize) -> Result<usize> {
    let Some(program) = filter.program() else { return Ok(0) };
    let len = program.len();
    if room > 0 && room < len {
        return err(Errno::EINVAL);
    }
    if room > 0 {
        task.mm().write_slice(UserPtr::new(to), program.code())?;
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use abi::seccomp::SKF_AD_OFF;

    use super::*;

    #[test]
    fn headers_are_found_below_zero() {
        let whole = [1, 2, 3, 4, 5, 6];
        let view = View { whole: &whole, network: 2, data: 4, ..View::default() };
        assert_eq!((view.len(), view.load(0, 2)), (2, Some(0x0506)));
        assert_eq!(view.load(SKF_NET_OFF, 1), Some(3));
        assert_eq!(view.load(SKF_LL_OFF + 1, 1), Some(2));
        assert_eq!((view.load(1, 2), view.load(SKF_AD_OFF + 3, 4)), (None, None));
    }

    #[test]
    fn attributes_are_found() {
        let mut whole = vec![9; 4];
        for (kind, nested) in [(5_u16, &[][..]), (6, &[8, 0, 3, 0, 1, 2, 3, 4][..])] {
            whole.extend(u16::try_from(4 + nested.len()).expect("it is short").to_ne_bytes());
            whole.extend(kind.to_ne_bytes());
            whole.extend(nested);
        }
        let view = View { whole: &whole, ..View::default() };
        assert_eq!((view.attribute(4, 6, false), view.attribute(8, 3, true)), (8, 12));
        assert_eq!((view.attribute(4, 7, false), view.attribute(u32::MAX, 6, true)), (0, 0));
    }
}
