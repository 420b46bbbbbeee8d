//! The line discipline N_TTY, termios(3), as a state machine: bytes from the keyboard side in, bytes for the program and
//! for the screen out. It knows no files and no tasks; what it wants done outside it returns as [`Effects`].

use std::collections::VecDeque;

use abi::signal::Signal;
use abi::termios::{
    InputFlags, LocalFlags, OutputFlags, Termios, VEOF, VEOL, VEOL2, VERASE, VINTR, VKILL, VLNEXT, VMIN, VQUIT,
    VREPRINT, VSTART, VSTOP, VSUSP, VTIME, VWERASE,
};

/// How many bytes a line may have, and how many wait for the program (N_TTY_BUF_SIZE).
pub(super) const INPUT_SIZE: usize = 4096;
/// How many bytes may wait for the screen before writers do.
pub(super) const OUTPUT_SIZE: usize = 8192;

/// What input processing wants done outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// Signals for the foreground process group.
    pub(super) signals: Vec<Signal>,
    /// Something can be read by the program now.
    pub(super) readable: bool,
    /// Output was stopped (`Some(true)`) or started by a key.
    pub(super) flow: Option<bool>,
    /// Queues were flushed because of a signal key.
    pub(super) flushed: bool,
}

/// The state of a terminal's line discipline.
#[derive(Debug)]
pub(super) struct Discipline {
    pub(super) termios: Termios,
    /// What the program can read. In canonical mode it holds whole lines only.
    ready: VecDeque<Ready>,
    /// The line being edited.
    line: Vec<u8>,
    /// What goes to the screen.
    output: VecDeque<u8>,
    /// The screen's cursor column, for tabs and erasing.
    column: usize,
    /// The column where the line being edited starts.
    line_column: usize,
    /// The next byte is taken literally (VLNEXT).
    literal: bool,
    /// Output is stopped by VSTOP or tcflow(3).
    pub(super) stopped: bool,
}

/// A byte the program can read, and whether a line ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Byte(u8),
    /// The last byte of a line.
    Last(u8),
    /// VEOF: a line ends here without a byte.
    End,
}

impl Discipline {
    pub(super) fn new(termios: Termios) -> Self {
        Self {
            termios,
            ready: VecDeque::new(),
            line: Vec::new(),
            output: VecDeque::new(),
            column: 0,
            line_column: 0,
            literal: false,
            stopped: false,
        }
    }

    /// Takes bytes from the keyboard; returns how many were taken. Fewer only if the program does not read.
    pub(super) fn input(&mut self, bytes: &[u8], effects: &mut Effects) -> usize {
        for (taken, byte) in bytes.iter().enumerate() {
            if !self.has_input_room() {
                return taken;
            }
            self.input_byte(*byte, effects);
        }
        bytes.len()
    }

    /// Whether another byte of input would be taken. A full line in canonical mode still takes the byte that ends it.
    pub(super) fn has_input_room(&self) -> bool {
        self.canonical() && self.ready.is_empty() || self.ready.len() + self.line.len() < INPUT_SIZE - 1
    }

    fn canonical(&self) -> bool {
        self.local(LocalFlags::ICANON)
    }

    fn local(&self, flag: LocalFlags) -> bool {
        self.termios.c_lflag.contains(flag)
    }

    fn is_key(&self, index: usize, byte: u8) -> bool {
        self.termios.c_cc[index] != 0 && self.termios.c_cc[index] == byte
    }

    fn input_byte(&mut self, byte: u8, effects: &mut Effects) {
        let iflag = self.termios.c_iflag;
        let mut byte = if iflag.contains(InputFlags::ISTRIP) { byte & 0x7f } else { byte };
        if self.literal {
            self.literal = false;
            self.store(byte, effects);
            return;
        }
        if iflag.contains(InputFlags::IUCLC) && self.local(LocalFlags::IEXTEN) {
            byte = byte.to_ascii_lowercase();
        }
        if iflag.contains(InputFlags::IXON) {
            if self.is_key(VSTART, byte) {
                self.set_stopped(false, effects);
                return;
            }
            if self.is_key(VSTOP, byte) {
                self.set_stopped(true, effects);
                return;
            }
        }
        if self.local(LocalFlags::ISIG)
            && let Some(signal) = self.signal_of(byte)
        {
            if iflag.contains(InputFlags::IXON) && self.stopped {
                self.set_stopped(false, effects);
            }
            if !self.local(LocalFlags::NOFLSH) {
                self.flush_input();
                self.output.clear();
                effects.flushed = true;
            }
            self.echo(byte);
            effects.signals.push(signal);
            return;
        }
        if self.stopped && iflag.contains(InputFlags::IXON | InputFlags::IXANY) {
            self.set_stopped(false, effects);
        }
        match byte {
            b'\r' if iflag.contains(InputFlags::IGNCR) => return,
            b'\r' if iflag.contains(InputFlags::ICRNL) => byte = b'\n',
            b'\n' if iflag.contains(InputFlags::INLCR) => byte = b'\r',
            _ => {}
        }
        if self.canonical() && self.edit(byte, effects) {
            return;
        }
        self.store(byte, effects);
    }

    fn signal_of(&self, byte: u8) -> Option<Signal> {
        [(VINTR, Signal::SIGINT), (VQUIT, Signal::SIGQUIT), (VSUSP, Signal::SIGTSTP)]
            .into_iter()
            .find(|(key, _)| self.is_key(*key, byte))
            .map(|(_, signal)| signal)
    }

    /// The editing keys of canonical mode; returns whether `byte` was one.
    fn edit(&mut self, byte: u8, effects: &mut Effects) -> bool {
        let extended = self.local(LocalFlags::IEXTEN);
        if self.is_key(VERASE, byte) {
            self.erase_characters(|_| false);
        } else if extended && self.is_key(VWERASE, byte) {
            self.erase_word();
        } else if self.is_key(VKILL, byte) {
            self.kill_line(byte);
        } else if extended && self.is_key(VLNEXT, byte) {
            self.literal = true;
            if self.local(LocalFlags::ECHO) && self.local(LocalFlags::ECHOCTL) {
                self.screen(b"^\x08");
            }
        } else if extended && self.local(LocalFlags::ECHO) && self.is_key(VREPRINT, byte) {
            self.echo_control(byte);
            self.screen(b"\r\n");
            for byte in self.line.clone() {
                self.echo(byte);
            }
        } else if byte == b'\n' {
            if self.local(LocalFlags::ECHO) || self.local(LocalFlags::ECHONL) {
                self.put(b'\n');
            }
            self.end_line(Some(b'\n'), effects);
        } else if self.is_key(VEOF, byte) {
            self.end_line(None, effects);
        } else if self.is_key(VEOL, byte) || (extended && self.is_key(VEOL2, byte)) {
            self.echo(byte);
            self.end_line(Some(byte), effects);
        } else {
            return false;
        }
        true
    }

    fn end_line(&mut self, last: Option<u8>, effects: &mut Effects) {
        self.ready.extend(self.line.drain(..).map(Ready::Byte));
        self.ready.push_back(last.map_or(Ready::End, Ready::Last));
        self.line_column = self.column;
        effects.readable = true;
    }

    /// An ordinary byte.
    fn store(&mut self, byte: u8, effects: &mut Effects) {
        if self.canonical() {
            // A line that is too long loses its end; the byte that ends the line still comes through.
            if self.line.len() + self.ready.len() >= INPUT_SIZE - 2 {
                if self.termios.c_iflag.contains(InputFlags::IMAXBEL) {
                    self.emit(7);
                }
                return;
            }
            if self.line.is_empty() {
                self.line_column = self.column;
            }
            self.echo(byte);
            self.line.push(byte);
        } else {
            self.echo(byte);
            self.ready.push_back(Ready::Byte(byte));
            effects.readable = true;
        }
    }

    fn set_stopped(&mut self, stopped: bool, effects: &mut Effects) {
        if self.stopped != stopped {
            self.stopped = stopped;
            effects.flow = Some(stopped);
        }
    }

    // ---- Echo and erasing.

    fn echo(&mut self, byte: u8) {
        if !self.local(LocalFlags::ECHO) {
            if byte == b'\n' && self.local(LocalFlags::ECHONL) && self.canonical() {
                self.put(byte);
            }
            return;
        }
        if self.local(LocalFlags::ECHOCTL) && is_control(byte) {
            self.echo_control(byte);
        } else {
            self.put(byte);
        }
    }

    /// `^C` for a control character.
    fn echo_control(&mut self, byte: u8) {
        if self.local(LocalFlags::ECHOCTL) && is_control(byte) {
            self.screen(&[b'^', byte ^ 0x40]);
        } else {
            self.put(byte);
        }
    }

    /// Erases the last character, and more while `more` says so for the one before.
    fn erase_characters(&mut self, more: impl Fn(u8) -> bool) {
        while let Some(last) = self.pop_character() {
            if self.local(LocalFlags::ECHO) {
                if self.local(LocalFlags::ECHOE) {
                    self.rub_out(last);
                } else {
                    let key = self.termios.c_cc[VERASE];
                    self.echo(key);
                }
            }
            if !self.line.last().is_some_and(|byte| more(*byte)) {
                break;
            }
        }
    }

    /// Takes the last character off the line: with IUTF8 all its bytes; returns its first byte.
    fn pop_character(&mut self) -> Option<u8> {
        let utf8 = self.termios.c_iflag.contains(InputFlags::IUTF8);
        let mut last = self.line.pop()?;
        while utf8 && last & 0xc0 == 0x80 {
            match self.line.pop() {
                Some(byte) => last = byte,
                None => break,
            }
        }
        Some(last)
    }

    fn erase_word(&mut self) {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        let mut seen_word = false;
        while let Some(byte) = self.line.last().copied() {
            if is_word(byte) {
                seen_word = true;
            } else if seen_word {
                break;
            }
            self.erase_characters(|_| false);
        }
    }

    fn kill_line(&mut self, key: u8) {
        if self.local(LocalFlags::ECHO)
            && self.local(LocalFlags::ECHOK)
            && self.local(LocalFlags::ECHOKE)
            && self.local(LocalFlags::ECHOE)
        {
            while !self.line.is_empty() {
                self.erase_characters(|_| false);
            }
            return;
        }
        self.line.clear();
        self.echo(key);
        if self.local(LocalFlags::ECHO) && self.local(LocalFlags::ECHOK) {
            self.put(b'\n');
        }
    }

    /// Takes a character off the screen.
    fn rub_out(&mut self, byte: u8) {
        let width = if byte == b'\t' {
            // A tab is as wide as what stands before it leaves.
            let before = self
                .line
                .iter()
                .fold(self.line_column, |column, byte| advance(column, *byte, self.local(LocalFlags::ECHOCTL)));
            self.column.saturating_sub(before)
        } else if is_control(byte) {
            if self.local(LocalFlags::ECHOCTL) { 2 } else { 0 }
        } else {
            1
        };
        for _ in 0..width {
            if byte == b'\t' { self.screen(b"\x08") } else { self.screen(b"\x08 \x08") }
        }
    }

    /// Bytes for the screen that need no processing.
    fn screen(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                8 => self.column = self.column.saturating_sub(1),
                b'\r' | b'\n' => self.column = 0,
                _ => self.column += 1,
            }
            self.emit(*byte);
        }
    }

    // ---- Output.

    /// A byte for the screen. Echo that nobody looks at is lost: writers wait long before, but whoever types does not.
    fn emit(&mut self, byte: u8) {
        if self.output.len() < 2 * OUTPUT_SIZE {
            self.output.push_back(byte);
        }
    }

    /// Takes bytes from the program as far as there is room; returns how many.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.stopped {
            return 0;
        }
        for (taken, byte) in bytes.iter().enumerate() {
            // One byte becomes at most eight (a tab).
            if self.output.len() + 8 > OUTPUT_SIZE {
                return taken;
            }
            self.put(*byte);
        }
        bytes.len()
    }

    /// Whether a write would take something.
    pub(super) fn has_output_room(&self) -> bool {
        !self.stopped && self.output.len() + 256 < OUTPUT_SIZE
    }

    /// One byte through output processing.
    fn put(&mut self, byte: u8) {
        let flags = self.termios.c_oflag;
        if !flags.contains(OutputFlags::OPOST) {
            self.emit(byte);
            return;
        }
        match byte {
            b'\n' => {
                if flags.contains(OutputFlags::ONLRET) {
                    self.column = 0;
                }
                if flags.contains(OutputFlags::ONLCR) {
                    self.column = 0;
                    self.emit(b'\r');
                }
                self.emit(b'\n');
            }
            b'\r' => {
                if flags.contains(OutputFlags::ONOCR) && self.column == 0 {
                    return;
                }
                if flags.contains(OutputFlags::OCRNL) {
                    if flags.contains(OutputFlags::ONLRET) {
                        self.column = 0;
                    }
                    self.emit(b'\n');
                    return;
                }
                self.column = 0;
                self.emit(b'\r');
            }
            b'\t' => {
                let spaces = 8 - self.column % 8;
                self.column += spaces;
                if flags.contains(OutputFlags::XTABS) {
                    (0..spaces).for_each(|_| self.emit(b' '));
                } else {
                    self.emit(b'\t');
                }
            }
            8 => {
                self.column = self.column.saturating_sub(1);
                self.emit(8);
            }
            byte => {
                let byte = if flags.contains(OutputFlags::OLCUC) { byte.to_ascii_uppercase() } else { byte };
                // The later bytes of a UTF-8 character take no column.
                if !is_control(byte) && !(self.termios.c_iflag.contains(InputFlags::IUTF8) && byte & 0xc0 == 0x80) {
                    self.column += 1;
                }
                self.emit(byte);
            }
        }
    }

    /// What goes to the screen, oldest first; nothing while output is stopped.
    pub(super) fn take_output(&mut self, max: usize) -> Vec<u8> {
        if self.stopped {
            return Vec::new();
        }
        let n = max.min(self.output.len());
        self.output.drain(..n).collect()
    }

    /// How many bytes wait for the screen.
    pub(super) fn output_len(&self) -> usize {
        if self.stopped { 0 } else { self.output.len() }
    }

    // ---- Reading.

    /// Whether poll(2) calls it readable: a line in canonical mode; otherwise VMIN bytes, or any if VTIME is set as well.
    pub(super) fn readable(&self) -> bool {
        if self.canonical() {
            return self.ready.iter().any(|r| !matches!(r, Ready::Byte(_)));
        }
        let (min, time) = (usize::from(self.termios.c_cc[VMIN]), self.termios.c_cc[VTIME]);
        self.ready.len() >= if time == 0 { min.max(1) } else { 1 }
    }

    /// Whether a read returns at once even with nothing (VMIN 0, VTIME 0).
    pub(super) fn polls(&self) -> bool {
        !self.canonical() && self.termios.c_cc[VMIN] == 0 && self.termios.c_cc[VTIME] == 0
    }

    /// Whether a read with this many bytes waits for more.
    pub(super) fn reads_on(&self, so_far: usize) -> bool {
        !self.canonical() && so_far < usize::from(self.termios.c_cc[VMIN])
    }

    /// Tenths of a second after which a read gives up; 0 for never. With VMIN the clock runs between bytes only.
    pub(super) fn read_timeout(&self, so_far: usize) -> u8 {
        if self.canonical() || so_far == 0 && self.termios.c_cc[VMIN] > 0 { 0 } else { self.termios.c_cc[VTIME] }
    }

    /// Takes up to `max` bytes; at most one line in canonical mode. `None` if there is nothing to take; empty for VEOF.
    pub(super) fn read(&mut self, max: usize) -> Option<Vec<u8>> {
        if self.canonical() && !self.readable() || self.ready.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        while bytes.len() < max {
            match self.ready.pop_front() {
                Some(Ready::Byte(byte)) => bytes.push(byte),
                Some(Ready::Last(byte)) => {
                    bytes.push(byte);
                    if self.canonical() {
                        break;
                    }
                }
                Some(Ready::End) if self.canonical() => break,
                Some(Ready::End) => {}
                None => break,
            }
        }
        // A line that was read up to its VEOF is over: the mark is not a line of its own.
        if self.canonical() && !bytes.is_empty() && bytes.len() == max && self.ready.front() == Some(&Ready::End) {
            self.ready.pop_front();
        }
        Some(bytes)
    }

    /// What FIONREAD says.
    pub(super) fn readable_bytes(&self) -> usize {
        if !self.canonical() {
            return self.ready.len();
        }
        let end = self.ready.iter().rposition(|r| !matches!(r, Ready::Byte(_))).map_or(0, |at| at + 1);
        self.ready.iter().take(end).filter(|r| **r != Ready::End).count()
    }

    // ---- Settings.

    /// Changes the settings. A line being edited becomes readable when canonical mode ends, and whole lines stay lines.
    pub(super) fn set_termios(&mut self, termios: Termios) -> Effects {
        let was_canonical = self.canonical();
        let mut effects = Effects::default();
        self.termios = termios;
        if was_canonical && !self.canonical() {
            self.ready.extend(self.line.drain(..).map(Ready::Byte));
            effects.readable = !self.ready.is_empty();
        } else if !was_canonical && self.canonical() && !self.ready.is_empty() {
            // Bytes that came without lines count as one.
            if let Some(Ready::Byte(byte)) = self.ready.back().copied() {
                self.ready.pop_back();
                self.ready.push_back(Ready::Last(byte));
            }
            effects.readable = true;
        }
        if self.stopped && !termios.c_iflag.contains(InputFlags::IXON) {
            self.set_stopped(false, &mut effects);
        }
        effects
    }

    /// tcflush(3) of what came in.
    pub(super) fn flush_input(&mut self) {
        self.ready.clear();
        self.line.clear();
        self.literal = false;
    }

    /// tcflush(3) of what goes out.
    pub(super) fn flush_output(&mut self) {
        self.output.clear();
    }
}

/// Whether ECHOCTL shows it as `^X`: controls but tab and newline.
const fn is_control(byte: u8) -> bool {
    (byte < 32 && byte != b'\t' && byte != b'\n') || byte == 127
}

/// The column after `byte` was echoed.
const fn advance(column: usize, byte: u8, control_shown: bool) -> usize {
    match byte {
        b'\t' => column + 8 - column % 8,
        byte if is_control(byte) => column + if control_shown { 2 } else { 0 },
        _ => column + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Discipline, Effects};
    use abi::signal::Signal;
    use abi::termios::{LocalFlags, Termios};
    use proptest::prelude::*;

    fn typed(discipline: &mut Discipline, bytes: &[u8]) -> Effects {
        let mut effects = Effects::default();
        discipline.input(bytes, &mut effects);
        effects
    }

    fn screen(discipline: &mut Discipline) -> String {
        String::from_utf8(discipline.take_output(9999)).expect("the tests echo text")
    }

    #[test]
    fn a_line_is_readable_once_it_ends_and_is_echoed() {
        let mut tty = Discipline::new(Termios::default());
        assert!(!typed(&mut tty, b"ls").readable);
        assert_eq!(tty.read(10), None);
        assert!(typed(&mut tty, b"\r").readable);
        assert_eq!(tty.read(10).as_deref(), Some(&b"ls\n"[..]));
        assert_eq!(screen(&mut tty), "ls\r\n");
    }

    #[test]
    fn erase_word_and_kill_edit_the_line() {
        let mut tty = Discipline::new(Termios::default());
        typed(&mut tty, b"ab\x7fc d ef\x17g\x15xy\n");
        assert_eq!(tty.read(99).as_deref(), Some(&b"xy\n"[..]));
    }

    #[test]
    fn end_of_file_gives_what_is_there_and_then_nothing() {
        let mut tty = Discipline::new(Termios::default());
        typed(&mut tty, b"part\x04\x04");
        assert_eq!(tty.read(99).as_deref(), Some(&b"part"[..]));
        assert_eq!(tty.read(99).as_deref(), Some(&b""[..]));
        assert_eq!(tty.read(99), None);
    }

    #[test]
    fn a_signal_key_flushes_and_shows_itself() {
        let mut tty = Discipline::new(Termios::default());
        let effects = typed(&mut tty, b"abc\x03");
        assert_eq!(effects.signals, [Signal::SIGINT]);
        assert_eq!(screen(&mut tty), "^C");
        typed(&mut tty, b"\n");
        assert_eq!(tty.read(9).as_deref(), Some(&b"\n"[..]));
    }

    #[test]
    fn raw_mode_passes_bytes_as_they_come() {
        let mut termios = Termios::default();
        termios.c_lflag -= LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::ECHO;
        let mut tty = Discipline::new(termios);
        assert!(typed(&mut tty, b"\x03\x04a").readable);
        assert_eq!(tty.read(9).as_deref(), Some(&b"\x03\x04a"[..]));
        assert_eq!(screen(&mut tty), "");
    }

    proptest! {
        #[test]
        fn queues_stay_bounded(steps in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 0..600)), 1..40)) {
            let mut tty = Discipline::new(Termios::default());
            for (what, bytes) in steps {
                match what {
                    0 => { typed(&mut tty, &bytes); }
                    1 => { tty.write(&bytes); }
                    2 => { tty.read(bytes.len()); }
                    _ => { tty.take_output(bytes.len()); }
                }
                prop_assert!(tty.ready.len() + tty.line.len() <= super::INPUT_SIZE);
            }
        }
    }

    #[test]
    fn echo_that_nobody_takes_is_bounded() {
        let mut tty = Discipline::new(Termios::default());
        typed(&mut tty, &[b'x'; 3000]);
        for _ in 0..100 {
            typed(&mut tty, b"\x12\x1a");
            typed(&mut tty, &[b'y'; 5000]);
        }
        assert!(tty.output_len() <= 2 * super::OUTPUT_SIZE);
    }
}
