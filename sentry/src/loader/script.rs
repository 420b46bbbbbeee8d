//! `#!` lines: a file that names its interpreter (fs/binfmt_script.c).

use abi::Errno;
use abi::limits::BINPRM_BUF_SIZE;

use super::reader::Reader;
use super::strings::Strings;
use super::{Executable, Opener};
use crate::error::{Result, err};
use crate::mm::memfile::MemFile;

/// How deep interpreters may be scripts themselves.
const MAX_DEPTH: usize = 5;

/// What is to run, with the arguments it gets.
pub(super) struct Resolved<'a> {
    pub(super) executable: Executable,
    pub(super) argv: Strings,
    pub(super) reader: Reader<'a>,
}

/// Follows scripts to what is none.
pub(super) fn resolve<'a>(
    memfile: &'a MemFile,
    mut executable: Executable,
    path: &[u8],
    mut argv: Strings,
    reachable: bool,
    open: Opener<'_>,
) -> Result<Resolved<'a>> {
    if argv.is_empty() {
        // A program always has a name.
        argv.push(b"");
    }
    let mut path = path.to_vec();
    let mut depth = 0;
    loop {
        let reader = Reader::new(memfile, &executable.object)?;
        let mut head = [0; BINPRM_BUF_SIZE];
        reader.read(0, &mut head)?;
        let Some(line) = head.strip_prefix(b"#!") else { return Ok(Resolved { executable, argv, reader }) };
        depth += 1;
        if depth > MAX_DEPTH {
            return err(Errno::ELOOP);
        }
        let line = parse(line)?;
        if !reachable {
            return err(Errno::ENOENT);
        }
        match line.argument {
            Some(argument) => argv.replace_first(&[line.interpreter, argument, &path]),
            None => argv.replace_first(&[line.interpreter, &path]),
        }
        executable = open(line.interpreter)?;
        path = line.interpreter.to_vec();
    }
}

struct Line<'a> {
    interpreter: &'a [u8],
    argument: Option<&'a [u8]>,
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Reads what follows `#!`. A line that does not end in the buffer is accepted only if the interpreter's path does.
fn parse(buffer: &[u8]) -> Result<Line<'_>> {
    let ends = |byte: &u8| matches!(byte, b'\n' | 0);
    let line = match buffer.iter().position(|byte| *byte == b'\n') {
        Some(end) => &buffer[..end],
        None => {
            let start = buffer.iter().position(|byte| !is_blank(byte)).ok_or(Errno::ENOEXEC)?;
            // No blank and no NUL after the path: it may be cut off.
            if !buffer[start..].iter().any(|byte| is_blank(byte) || *byte == 0) {
                return err(Errno::ENOEXEC);
            }
            buffer
        }
    };
    let line = line.split(ends).next().unwrap_or_default();
    let line = line.trim_ascii_start();
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    let line = &line[..end];
    if line.is_empty() {
        return err(Errno::ENOEXEC);
    }
    let split = line.iter().position(is_blank).unwrap_or(line.len());
    let (interpreter, rest) = line.split_at(split);
    let skip = rest.iter().position(|byte| !is_blank(byte)).unwrap_or(rest.len());
    let argument = &rest[skip..];
    Ok(Line { interpreter, argument: (!argument.is_empty()).then_some(argument) })
}

#[cfg(test)]
mod tests {
    use super::parse;
    use abi::Errno;

    fn parsed(line: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), Errno> {
        let mut buffer = [0; 254];
        let len = line.len().min(254);
        buffer[..len].copy_from_slice(&line[..len]);
        let line = parse(&buffer).map_err(|e| e.errno())?;
        Ok((line.interpreter.to_vec(), line.argument.map(<[u8]>::to_vec)))
    }

    #[test]
    fn lines_have_an_interpreter_and_one_argument() {
        assert_eq!(parsed(b"/bin/sh\necho"), Ok((b"/bin/sh".to_vec(), None)));
        assert_eq!(parsed(b" \t/bin/sh  -e -x \t\n"), Ok((b"/bin/sh".to_vec(), Some(b"-e -x".to_vec()))));
        assert_eq!(parsed(b"/bin/sh"), Ok((b"/bin/sh".to_vec(), None)));
        assert_eq!(parsed(b" \n/bin/sh"), Err(Errno::ENOEXEC));
        assert_eq!(parsed(b""), Err(Errno::ENOEXEC));
    }

    #[test]
    fn long_lines_are_cut_but_not_their_path() {
        let long = [b"/bin/sh ".to_vec(), vec![b'a'; 300]].concat();
        assert_eq!(parsed(&long), Ok((b"/bin/sh".to_vec(), Some(vec![b'a'; 246]))));
        assert_eq!(parsed(&[b'/'; 300]), Err(Errno::ENOEXEC));
    }
}
