//! tty_ioctl(4), as far as master and slave share it.

use abi::capability::Cap;
use abi::ioctl::{
    FIONREAD, TCFLSH, TCGETA, TCGETS, TCGETS2, TCSBRK, TCSBRKP, TCSETA, TCSETAF, TCSETAW, TCSETS, TCSETS2, TCSETSF,
    TCSETSF2, TCSETSW, TCSETSW2, TCXONC, TIOCCBRK, TIOCEXCL, TIOCGDEV, TIOCGETD, TIOCGEXCL, TIOCGLCKTRMIOS, TIOCGPGRP,
    TIOCGSID, TIOCGSOFTCAR, TIOCGWINSZ, TIOCNOTTY, TIOCNXCL, TIOCOUTQ, TIOCSBRK, TIOCSCTTY, TIOCSETD, TIOCSLCKTRMIOS,
    TIOCSPGRP, TIOCSSOFTCAR, TIOCSTI, TIOCSWINSZ, TIOCVHANGUP,
};
use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::termios::{
    ControlFlags, InputFlags, LocalFlags, N_TTY, OutputFlags, PacketStatus, TCIFLUSH, TCIOFF, TCIOFLUSH, TCION,
    TCOFLUSH, TCOOFF, TCOON, Termio, Termios, Termios2, VSTART, VSTOP, Winsize, baud_rate,
};
use abi::{Errno, UserAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Tty;
use crate::error::{Result, SysResult, err};
use crate::task::{ControllingTty, CurrentTask};
use crate::user::UserPtr;

/// What is to happen to the queues when settings change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    /// TCSAFLUSH: unread input is forgotten.
    Flush,
}

impl Tty {
    /// The calls that both sides answer; `master`: asked through the master, which is not subject to job control.
    pub(super) fn common_ioctl(&self, task: &CurrentTask, cmd: u32, arg: u64, master: bool) -> SysResult {
        let addr = UserAddr(arg);
        let int = || i32::try_from(arg & 0xffff_ffff).unwrap_or(-1);
        match cmd {
            TCGETS => put(task, addr, &self.termios()),
            TCGETS2 => put(task, addr, &termios2(&self.termios())),
            TCGETA => put(task, addr, &termio(&self.termios())),
            TCSETS | TCSETSW | TCSETSF => {
                let new = get(task, addr)?;
                self.change(task, new, flush(cmd == TCSETSF), master)
            }
            TCSETS2 | TCSETSW2 | TCSETSF2 => {
                let new: Termios2 = get(task, addr)?;
                self.change(task, new.base, flush(cmd == TCSETSF2), master)
            }
            TCSETA | TCSETAW | TCSETAF => {
                let new = with_termio(self.termios(), &get(task, addr)?);
                self.change(task, new, flush(cmd == TCSETAF), master)
            }
            TIOCGWINSZ => {
                self.follow_host();
                put(task, addr, &self.state.lock().size.clone())
            }
            TIOCSWINSZ => {
                let size: Winsize = get(task, addr)?;
                self.resize_host(&size);
                self.resize(size);
                Ok(0)
            }
            TIOCSCTTY => self.set_controlling(task, arg == 1).map(|()| 0),
            TIOCNOTTY => self.give_up(task).map(|()| 0),
            TIOCGPGRP => put(task, addr, &self.foreground_number(task, master)?),
            TIOCSPGRP => self.set_foreground(task, get(task, addr)?).map(|()| 0),
            TIOCGSID => put(task, addr, &self.session_number(task, master)?),
            TIOCEXCL | TIOCNXCL => {
                self.state.lock().exclusive = cmd == TIOCEXCL;
                Ok(0)
            }
            TIOCGLCKTRMIOS => put(task, addr, &self.state.lock().locked.clone()),
            TIOCSLCKTRMIOS if task.creds().has(Cap::CAP_SYS_ADMIN) => {
                let locked = get(task, addr)?;
                self.state.lock().locked = locked;
                Ok(0)
            }
            TIOCSLCKTRMIOS => err(Errno::EPERM),
            TIOCGSOFTCAR => put(task, addr, &i32::from(self.termios().c_cflag.contains(ControlFlags::CLOCAL))),
            TIOCSSOFTCAR => {
                let local: i32 = get(task, addr)?;
                let mut new = self.termios();
                new.c_cflag.set(ControlFlags::CLOCAL, local != 0);
                self.change(task, new, When::Now, master)
            }
            TIOCGEXCL => put(task, addr, &i32::from(self.state.lock().exclusive)),
            TIOCGETD => put(task, addr, &N_TTY),
            TIOCSETD if get::<u32>(task, addr)? == N_TTY => Ok(0),
            TIOCSETD => err(Errno::EINVAL),
            TIOCGDEV => put(task, addr, &u32::try_from(self.device() & 0xffff_ffff).unwrap_or(0)),
            // Nothing is ever sent on a line: draining and breaks are done at once.
            TCSBRK | TCSBRKP | TIOCSBRK | TIOCCBRK => Ok(0),
            TCXONC => self.flow(int()),
            TCFLSH => self.flush(task, int(), master),
            TIOCSTI => {
                if !self.controls(task) && !task.creds().has(Cap::CAP_SYS_ADMIN) {
                    return err(Errno::EPERM);
                }
                let byte: u8 = get(task, addr)?;
                self.keyboard(&[byte]);
                Ok(0)
            }
            TIOCVHANGUP if task.creds().has(Cap::CAP_SYS_ADMIN) => {
                self.hang_up();
                Ok(0)
            }
            TIOCVHANGUP => err(Errno::EPERM),
            FIONREAD => {
                let state = self.state.lock();
                let n = if master { state.discipline.output_len() } else { state.discipline.readable_bytes() };
                drop(state);
                put(task, addr, &i32::try_from(n).unwrap_or(i32::MAX))
            }
            TIOCOUTQ => {
                let n = if master { 0 } else { self.state.lock().discipline.output_len() };
                put(task, addr, &i32::try_from(n).unwrap_or(i32::MAX))
            }
            _ => err(Errno::ENOTTY),
        }
    }

    fn termios(&self) -> Termios {
        self.state.lock().discipline.termios
    }

    fn change(&self, task: &CurrentTask, new: Termios, when: When, master: bool) -> SysResult {
        if !master {
            self.check_change(task)?;
        }
        let mut state = self.state.lock();
        if when == When::Flush {
            state.discipline.flush_input();
        }
        let old = state.discipline.termios;
        let new = with_locked(new, &old, &state.locked);
        // A pseudo-terminal has no line: eight bits, no parity, always readable.
        let cflag = new.c_cflag - ControlFlags::CSIZE - ControlFlags::PARENB | ControlFlags::CS8 | ControlFlags::CREAD;
        let effects = state.discipline.set_termios(Termios { c_cflag: cflag, ..new });
        if state.packet {
            let flow = |termios: &Termios| {
                termios.c_iflag.contains(InputFlags::IXON)
                    && termios.c_cc[VSTOP] == 0o23
                    && termios.c_cc[VSTART] == 0o21
            };
            match (flow(&old), flow(&new)) {
                (false, true) => state.packet_status |= PacketStatus::TIOCPKT_DOSTOP,
                (true, false) => state.packet_status |= PacketStatus::TIOCPKT_NOSTOP,
                _ => {}
            }
            if (old.c_lflag ^ new.c_lflag).contains(LocalFlags::EXTPROC) {
                state.packet_status |= PacketStatus::TIOCPKT_IOCTL;
            }
        }
        state.note(&effects);
        drop(state);
        self.apply(&effects, false);
        self.slave_queue.notify(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
        Ok(0)
    }

    /// tcflow(3).
    fn flow(&self, action: i32) -> SysResult {
        let stop = match u32::try_from(action) {
            Ok(TCOOFF) => true,
            Ok(TCOON) => false,
            Ok(TCIOFF | TCION) => return Ok(0),
            _ => return err(Errno::EINVAL),
        };
        self.state.lock().discipline.stopped = stop;
        if !stop {
            self.master_queue.notify(POLLIN | POLLRDNORM);
            self.slave_queue.notify(POLLOUT | POLLWRNORM);
        }
        Ok(0)
    }

    /// tcflush(3). From the master the directions are the other way round.
    fn flush(&self, task: &CurrentTask, queue: i32, master: bool) -> SysResult {
        if !master {
            self.check_change(task)?;
        }
        let (input, output) = match u32::try_from(queue) {
            Ok(TCIFLUSH) => (!master, master),
            Ok(TCOFLUSH) => (master, !master),
            Ok(TCIOFLUSH) => (true, true),
            _ => return err(Errno::EINVAL),
        };
        let mut state = self.state.lock();
        if input {
            state.discipline.flush_input();
            state.packet_status |= PacketStatus::TIOCPKT_FLUSHREAD;
        }
        if output {
            state.discipline.flush_output();
            state.packet_status |= PacketStatus::TIOCPKT_FLUSHWRITE;
        }
        drop(state);
        self.slave_queue.notify(POLLOUT | POLLWRNORM);
        Ok(0)
    }
}

/// `new` with what is locked as it was (`unset_locked_termios`).
fn with_locked(new: Termios, old: &Termios, locked: &Termios) -> Termios {
    let mut c_cc = new.c_cc;
    for (at, byte) in c_cc.iter_mut().enumerate() {
        if locked.c_cc[at] != 0 {
            *byte = old.c_cc[at];
        }
    }
    Termios {
        c_iflag: (new.c_iflag - locked.c_iflag) | (old.c_iflag & locked.c_iflag),
        c_oflag: (new.c_oflag - locked.c_oflag) | (old.c_oflag & locked.c_oflag),
        c_cflag: (new.c_cflag - locked.c_cflag) | (old.c_cflag & locked.c_cflag),
        c_lflag: (new.c_lflag - locked.c_lflag) | (old.c_lflag & locked.c_lflag),
        c_line: if locked.c_line != 0 { old.c_line } else { new.c_line },
        c_cc,
    }
}

fn flush(flush: bool) -> When {
    if flush { When::Flush } else { When::Now }
}

pub(super) fn put<T: IntoBytes + Immutable>(task: &CurrentTask, addr: UserAddr, value: &T) -> SysResult {
    task.mm().write(UserPtr::new(addr), value)?;
    Ok(0)
}

pub(super) fn get<T: FromBytes>(task: &CurrentTask, addr: UserAddr) -> Result<T> {
    task.mm().read(UserPtr::new(addr))
}

fn termios2(termios: &Termios) -> Termios2 {
    let speed = baud_rate((termios.c_cflag & ControlFlags::CBAUD).bits()).unwrap_or(38400);
    Termios2 { base: *termios, c_ispeed: speed, c_ospeed: speed }
}

fn termio(termios: &Termios) -> Termio {
    let low = |bits: u32| u16::try_from(bits & 0xffff).unwrap_or(0);
    let mut cc = [0; 8];
    cc.copy_from_slice(&termios.c_cc[..8]);
    Termio {
        c_iflag: low(termios.c_iflag.bits()),
        c_oflag: low(termios.c_oflag.bits()),
        c_cflag: low(termios.c_cflag.bits()),
        c_lflag: low(termios.c_lflag.bits()),
        c_line: termios.c_line,
        c_cc: cc,
        _pad: 0,
    }
}

fn with_termio(mut termios: Termios, new: &Termio) -> Termios {
    let merge = |old: u32, new: u16| old & 0xffff_0000 | u32::from(new);
    termios.c_iflag = InputFlags::from_bits_retain(merge(termios.c_iflag.bits(), new.c_iflag));
    termios.c_oflag = OutputFlags::from_bits_retain(merge(termios.c_oflag.bits(), new.c_oflag));
    termios.c_cflag = ControlFlags::from_bits_retain(merge(termios.c_cflag.bits(), new.c_cflag));
    termios.c_lflag = LocalFlags::from_bits_retain(merge(termios.c_lflag.bits(), new.c_lflag));
    termios.c_cc[..8].copy_from_slice(&new.c_cc);
    termios
}
