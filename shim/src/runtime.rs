//! Calls the command line.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use containerd_shim::Error;
use containerd_shim::protos::ttrpc;
use serde::Deserialize;

use crate::exits::Exits;
use crate::options::Options;

/// The command line, how it is called, and who hears it end.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    options: Options,
    namespace: String,
    exits: Exits,
}

/// Standard files of a process to start.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) input: Option<File>,
    pub(crate) output: Option<File>,
    pub(crate) errors: Option<File>,
}

/// What `create` and `exec` need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starting<'a> {
    pub(crate) bundle: &'a Path,
    pub(crate) pid_file: &'a Path,
    pub(crate) console: Option<&'a Path>,
}

/// A line of `--log-format json`.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

/// More of a log is not read.
const MOST: u64 = 64 << 10;

impl Runtime {
    pub(crate) fn new(options: &Options, namespace: &str, exits: Exits) -> Self {
        Self { options: options.clone(), namespace: namespace.to_owned(), exits }
    }

    /// Where the state of a container is.
    pub(crate) fn directory(&self, id: &str) -> PathBuf {
        self.options.root.join(&self.namespace).join(id)
    }

    /// Creates a container; returns the pid that stands for it.
    pub(crate) async fn create(&self, id: &str, starting: Starting<'_>, files: Files) -> Result<i32, Error> {
        let mut arguments = vec!["create".to_owned(), "--bundle".into(), shown(starting.bundle)];
        arguments.extend(["--pid-file".into(), shown(starting.pid_file)]);
        arguments.extend(starting.console.into_iter().flat_map(|socket| ["--console-socket".into(), shown(socket)]));
        arguments.push(id.to_owned());
        self.call(starting.bundle, arguments, files).await?;
        pid(starting.pid_file)
    }

    /// Starts another process as a file describes it; returns the pid that stands for it.
    pub(crate) async fn exec(
        &self,
        id: &str,
        process: &Path,
        starting: Starting<'_>,
        files: Files,
    ) -> Result<i32, Error> {
        let mut arguments = vec!["exec".to_owned(), "--process".into(), shown(process), "--detach".into()];
        arguments.extend(["--pid-file".into(), shown(starting.pid_file)]);
        arguments.extend(starting.console.into_iter().flat_map(|socket| ["--console-socket".into(), shown(socket)]));
        arguments.push(id.to_owned());
        self.call(starting.bundle, arguments, files).await?;
        pid(starting.pid_file)
    }

    /// A sub-command that takes the container's id last.
    pub(crate) async fn simple(&self, bundle: &Path, words: &[&str], id: &str) -> Result<String, Error> {
        let arguments = words.iter().chain([&id]).map(|&word| word.to_owned()).collect();
        self.call(bundle, arguments, Files::default()).await
    }

    /// Sends a signal. A container that has ended is no target.
    pub(crate) async fn kill(&self, bundle: &Path, id: &str, signal: u32, all: bool) -> Result<(), Error> {
        let mut arguments = vec!["kill".to_owned()];
        if all {
            arguments.push("--all".into());
        }
        arguments.extend([id.to_owned(), signal.to_string()]);
        match self.call(bundle, arguments, Files::default()).await {
            Err(e)
                if ["not running", "does not exist", "no such process"].iter().any(|w| e.to_string().contains(w)) =>
            {
                Err(Error::NotFoundError("process already finished".into()))
            }
            other => other.map(drop),
        }
    }

    /// Removes a container.
    pub(crate) async fn delete(&self, bundle: &Path, id: &str, force: bool) -> Result<(), Error> {
        let words: &[&str] = if force { &["delete", "--force"] } else { &["delete"] };
        match self.simple(bundle, words, id).await {
            Err(e) if e.to_string().contains("does not exist") => Ok(()),
            other => other.map(drop),
        }
    }

    /// Runs it to its end; returns what it printed, or its error.
    async fn call(&self, bundle: &Path, arguments: Vec<String>, files: Files) -> Result<String, Error> {
        let name = arguments.first().cloned().unwrap_or_default();
        let log = bundle.join(format!("log-{name}.json"));
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new(&self.options.binary);
        command.args(self.options.arguments(&self.namespace));
        command.args(["--log", &shown(&log), "--log-format", "json"]).args(arguments).current_dir(bundle);
        let wants_output = files.output.is_none() && !matches!(name.as_str(), "create" | "exec");
        let stdio = |file: Option<File>| file.map_or_else(Stdio::null, Stdio::from);
        let (answer, their_answer) = std::io::pipe().map_err(|e| Error::Other(format!("cannot make a pipe: {e}")))?;
        command.stdin(stdio(files.input)).stderr(stdio(files.errors));
        command.stdout(if wants_output { their_answer.into() } else { stdio(files.output) });
        let child = command.spawn();
        // Our copies of the files it has got.
        drop(command);
        let binary = self.options.binary.display();
        let child = child.map_err(|e| Error::Other(format!("cannot run {binary}: {e}")))?;
        let text = if wants_output {
            let read = move || {
                let mut text = String::new();
                answer.take(1 << 20).read_to_string(&mut text).map(|_| text)
            };
            tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok).unwrap_or_default()
        } else {
            String::new()
        };
        let pid = i32::try_from(child.id()).unwrap_or_default();
        let status = self.exits.wait(pid).await;
        if status == 0 {
            let _ = std::fs::remove_file(&log);
            return Ok(text);
        }
        let message = last_error(&log).unwrap_or_else(|| format!("{binary} {name} ended with status {status}"));
        Err(failed(&message))
    }
}

/// An error in the command line's words, and nothing around them.
fn failed(message: &str) -> Error {
    Error::Ttrpc(ttrpc::Error::RpcStatus(ttrpc::get_status(ttrpc::Code::UNKNOWN, message)))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn pid(file: &Path) -> Result<i32, Error> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::Other(format!("no pid file: {e}")))?;
    Ok(text.trim().parse()?)
}

/// The last error in a log.
fn last_error(log: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(log).ok()?.take(MOST).read_to_string(&mut text).ok()?;
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.into_iter().find(|line| matches!(line.level.as_str(), "error" | "fatal")).map(|line| line.msg)
}
