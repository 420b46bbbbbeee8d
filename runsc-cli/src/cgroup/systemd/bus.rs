//! A connection to systemd's manager: over the system's bus, a user's, or directly where there is no bus.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::message::{self, ANSWER, ERROR, FIXED, Message, Reader, SIGNAL, Target, Writer};

/// A connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// There is a bus between us and systemd.
    through_bus: bool,
    /// Signals that came while something else was waited for.
    signals: VecDeque<Message>,
}

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// How long systemd may take, as with runc.
const PATIENCE: Duration = Duration::from_secs(30);
/// Signals kept for later: others' jobs end too.
const MOST_SIGNALS: usize = 4096;

impl Bus {
    /// Connects to the system's systemd, or to that of our user.
    pub(super) fn connect(user: bool) -> Result<Self> {
        let addresses = if user { user_addresses() } else { system_addresses() };
        let mut last = None;
        for (address, through_bus) in addresses {
            match Self::open(&address, through_bus) {
                Ok(bus) => return Ok(bus),
                Err(e) => last = last.or(Some(e.context(format!("cannot connect to {address}")))),
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("no address")).context("systemd cannot be reached over D-Bus"))
    }

    /// Calls a method of the manager.
    pub(super) fn manager(&mut self, member: &str, signature: &str, body: Writer) -> Result<Message> {
        let destination = self.through_bus.then_some(SYSTEMD);
        self.call(Target { destination, path: MANAGER_PATH, interface: MANAGER, member }, signature, body)
    }

    /// A property of the manager that is text.
    pub(super) fn manager_text(&mut self, name: &str) -> Result<String> {
        let mut body = Writer::default();
        body.text(MANAGER);
        body.text(name);
        let target = Target {
            destination: self.through_bus.then_some(SYSTEMD),
            path: MANAGER_PATH,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
        };
        let answer = self.call(target, "ss", body)?;
        let mut reader = Reader::new(&answer.body);
        match reader.signature()? {
            "s" => Ok(reader.text()?.to_owned()),
            other => bail!("systemd's {name} is of type {other}"),
        }
    }

    /// Waits until a job has been removed, and says how it went.
    pub(super) fn job_result(&mut self, job: &str) -> Result<String> {
        loop {
            let message = match self.signals.pop_front() {
                Some(message) => message,
                None => self.receive().context("systemd does not say that it is done")?,
            };
            if message.kind == SIGNAL && message.member == "JobRemoved" {
                let mut reader = Reader::new(&message.body);
                let (_, path, _, result) = (reader.uint32()?, reader.text()?, reader.text()?, reader.text()?);
                if path == job {
                    return Ok(result.to_owned());
                }
            }
        }
    }

    fn open(address: &str, through_bus: bool) -> Result<Self> {
        let stream = match (address.strip_prefix("unix:path="), address.strip_prefix("unix:abstract=")) {
            (Some(path), _) => UnixStream::connect(path)?,
            (_, Some(name)) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            _ => bail!("not a unix socket"),
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut bus = Self { stream, serial: 0, through_bus, signals: VecDeque::new() };
        bus.authenticate()?;
        if through_bus {
            let bus_call = |member| Target { destination: Some(BUS), path: BUS_PATH, interface: BUS, member };
            bus.call(bus_call("Hello"), "", Writer::default())?;
            let mut rule = Writer::default();
            rule.text(&format!("type='signal',interface='{MANAGER}',member='JobRemoved'"));
            bus.call(bus_call("AddMatch"), "s", rule)?;
        }
        // Without subscribers it says nothing of its jobs.
        bus.manager("Subscribe", "", Writer::default())?;
        Ok(bus)
    }

    /// The user is told by the socket; what we say has to be the same.
    fn authenticate(&mut self) -> Result<()> {
        let uid = super::owner_uid().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.extend(byte);
            if line.len() > 512 {
                bail!("unexpected answer to AUTH");
            }
        }
        if !line.starts_with(b"OK ") {
            bail!("not authenticated: {}", String::from_utf8_lossy(&line).trim_end());
        }
        self.stream.write_all(b"BEGIN\r\n")?;
        Ok(())
    }

    fn call(&mut self, target: Target<'_>, signature: &str, body: Writer) -> Result<Message> {
        self.serial += 1;
        let serial = self.serial;
        self.stream.write_all(&message::call(serial, target, signature, body))?;
        loop {
            let message = self.receive().with_context(|| format!("no answer to {}", target.member))?;
            match message.kind {
                ANSWER if message.answers == Some(serial) => return Ok(message),
                ERROR if message.answers == Some(serial) => return Err(BusError::of(&message).into()),
                SIGNAL if self.signals.len() < MOST_SIGNALS => self.signals.push_back(message),
                _ => {}
            }
        }
    }

    fn receive(&mut self) -> Result<Message> {
        let mut fixed = [0; FIXED];
        self.stream.read_exact(&mut fixed)?;
        let mut rest = vec![0; message::rest_length(&fixed)?];
        self.stream.read_exact(&mut rest)?;
        message::parse(&fixed, &rest)
    }
}

/// What the other side refuses.
#[derive(Debug, thiserror::Error)]
#[error("{text} ({name})")]
pub(super) struct BusError {
    /// `org.freedesktop.systemd1.UnitExists` and the like.
    pub(super) name: String,
    text: String,
}

impl BusError {
    fn of(message: &Message) -> Self {
        let text = Reader::new(&message.body).text().unwrap_or("refused").to_owned();
        Self { name: message.error.clone(), text }
    }
}

/// Addresses, and whether a bus is there.
type Addresses = Vec<(String, bool)>;

fn system_addresses() -> Addresses {
    let given = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok();
    let bus = given.unwrap_or_else(|| "unix:path=/run/dbus/system_bus_socket".to_owned());
    let mut all = listed(&bus);
    all.push(("unix:path=/run/systemd/private".to_owned(), false));
    all
}

fn user_addresses() -> Addresses {
    let mut all = std::env::var("DBUS_SESSION_BUS_ADDRESS").map(|given| listed(&given)).unwrap_or_default();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    let runtime = runtime.unwrap_or_else(|| format!("/run/user/{}", super::owner_uid()).into());
    let runtime = Path::new(&runtime);
    all.push((format!("unix:path={}", runtime.join("bus").display()), true));
    all.push((format!("unix:path={}", runtime.join("systemd/private").display()), false));
    all
}

/// Addresses are listed with semicolons between, their keys with commas.
fn listed(addresses: &str) -> Addresses {
    let first = |address: &str| address.split(',').next().unwrap_or_default().to_owned();
    addresses.split(';').map(|address| (first(address), true)).collect()
}
