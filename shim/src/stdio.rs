//! Standard files of a process: named pipes, files, logging programs.
//!
//! The container gets the named pipes themselves, nothing is copied. We keep an end of each open, so that a restart of
//! containerd, which has the other end, is neither an end of input nor a broken pipe.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::process::Child;

use containerd_shim::Error;

use crate::logger;
use crate::runtime::Files;

/// What a request says of standard files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stdio {
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) errors: String,
    pub(crate) terminal: bool,
}

/// Our ends, as long as the process lives.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// Dropped by CloseIO: then the end of input is containerd's to make.
    pub(crate) input: Option<File>,
    /// Read by nobody.
    _output: Vec<File>,
    /// A logging program.
    _logger: Option<Child>,
}

/// `fifo`, `file` or `binary`, and what it names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Uri<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) path: Cow<'a, str>,
    pub(crate) arguments: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Stdio {
    /// Opens them for a process without a terminal.
    pub(crate) fn open(&self, id: &str, namespace: &str) -> Result<(Files, Ends), Error> {
        let output = Uri::parse(&self.output);
        if output.scheme == "binary" {
            let (mut files, child) = logger::start(&output, id, namespace)?;
            let mut ends = Ends { _logger: Some(child), ..Ends::default() };
            files.input = self.open_input(&mut ends)?;
            return Ok((files, ends));
        }
        let mut ends = Ends::default();
        let input = self.open_input(&mut ends)?;
        let output = open_output(&output, &mut ends)?;
        let errors = open_output(&Uri::parse(&self.errors), &mut ends)?;
        Ok((Files { input, output, errors }, ends))
    }

    fn open_input(&self, ends: &mut Ends) -> Result<Option<File>, Error> {
        let uri = Uri::parse(&self.input);
        if uri.path.is_empty() {
            return Ok(None);
        }
        let path = Path::new(uri.path.as_ref());
        if is_fifo(path) {
            // A writer before the reader: without one the first read would find the end.
            ends.input = Some(File::options().read(true).write(true).open(path).map_err(|e| failed(path, &e))?);
        }
        File::open(path).map(Some).map_err(|e| failed(path, &e))
    }
}

/// Opens where output goes.
fn open_output(uri: &Uri<'_>, ends: &mut Ends) -> Result<Option<File>, Error> {
    if uri.path.is_empty() {
        return Ok(None);
    }
    let path = Path::new(uri.path.as_ref());
    match uri.scheme {
        "file" => {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|e| failed(parent, &e))?;
            }
            let file = File::options().append(true).create(true).mode(0o640).open(path);
            file.map(Some).map_err(|e| failed(path, &e))
        }
        "fifo" => {
            if is_fifo(path) {
                // A reader before the writer, so that opening does not wait and writing never fails.
                let reader = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
                ends._output.push(reader.map_err(|e| failed(path, &e))?);
            }
            File::options().write(true).open(path).map(Some).map_err(|e| failed(path, &e))
        }
        other => Err(Error::InvalidArgument(format!("log URIs of scheme {other} are not supported"))),
    }
}

/// For what reads and writes a terminal's bytes: both ends of the pipe at once, so that nobody waits for the other side.
pub(crate) fn open_for_terminal(text: &str, input: bool, ends: &mut Ends) -> Result<Option<File>, Error> {
    let uri = Uri::parse(text);
    if uri.path.is_empty() {
        return Ok(None);
    }
    if !input {
        return open_output(&uri, ends);
    }
    let path = Path::new(uri.path.as_ref());
    File::options().read(true).write(is_fifo(path)).open(path).map(Some).map_err(|e| failed(path, &e))
}

impl<'a> Uri<'a> {
    /// A path without a scheme is a named pipe.
    pub(crate) fn parse(text: &'a str) -> Self {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Self { scheme: "fifo", path: text.into(), arguments: Vec::new() };
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let arguments = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self { scheme, path: decoded(path), arguments: arguments.collect() }
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
        bytes.push(byte.unwrap_or(if first == b'+' { b' ' } else { first }));
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

fn is_fifo(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Other(format!("cannot open {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        assert_eq!(Uri::parse("/a/b"), Uri { scheme: "fifo", path: "/a/b".into(), arguments: Vec::new() });
        assert_eq!(Uri::parse("file:///x%20y").path, "/x y");
        let uri = Uri::parse("binary:///bin/log?tag=a%26b&v");
        assert_eq!((uri.scheme, uri.path.as_ref()), ("binary", "/bin/log"));
        assert_eq!(uri.arguments, [("tag".into(), "a&b".into()), ("v".into(), "".into())]);
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }
}
