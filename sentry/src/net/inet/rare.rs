//! Options of SOL_SOCKET that only Internet sockets have and few programs use.

use abi::Errno;
use abi::capability::Cap;
use abi::socket::{
    SO_ATTACH_BPF, SO_ATTACH_FILTER, SO_BINDTODEVICE, SO_BINDTOIFINDEX, SO_BPF_EXTENSIONS, SO_COOKIE, SO_DETACH_FILTER,
    SO_INCOMING_NAPI_ID, SO_MAX_PACING_RATE, SO_MEMINFO, SO_NETNS_COOKIE, SO_PEERCRED, SO_PEERGROUPS, SO_TIMESTAMPING,
    SO_TIMESTAMPING_NEW, Ucred,
};
use zerocopy::IntoBytes;

use super::ip_options::IpOptions;
use super::stack::NetStack;
use crate::error::{Result, err};
use crate::net::owner::Owner;
use crate::task::CurrentTask;

pub(super) fn get(
    task: &CurrentTask,
    net: &NetStack,
    ip: &IpOptions,
    owner: Option<&Owner>,
    name: i32,
) -> Result<Vec<u8>> {
    Ok(match name {
        SO_BINDTODEVICE => {
            let device = ip.bound_device();
            let name = net.with_links(|links| links.device(device).map(|device| device.name.clone()));
            let mut bytes = name.map(String::into_bytes).unwrap_or_default();
            if !bytes.is_empty() {
                bytes.push(0);
            }
            bytes
        }
        SO_BINDTOIFINDEX => ip.bound_device().to_ne_bytes().to_vec(),
        // Nobody is known at the other end.
        SO_PEERCRED => Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX }.as_bytes().to_vec(),
        SO_PEERGROUPS => return err(Errno::ENODATA),
        SO_COOKIE => owner.map_or(0, |owner| owner.ino).to_ne_bytes().to_vec(),
        SO_NETNS_COOKIE => task.namespaces().net.id.0.to_ne_bytes().to_vec(),
        SO_MEMINFO => vec![0; 36],
        SO_MAX_PACING_RATE => u32::MAX.to_ne_bytes().to_vec(),
        SO_TIMESTAMPING | SO_TIMESTAMPING_NEW => vec![0; 8],
        SO_BPF_EXTENSIONS => 64_i32.to_ne_bytes().to_vec(),
        SO_INCOMING_NAPI_ID => vec![0; 4],
        _ => return err(Errno::ENOPROTOOPT),
    })
}

pub(super) fn set(task: &CurrentTask, net: &NetStack, ip: &IpOptions, name: i32, value: &[u8]) -> Result<()> {
    match name {
        SO_BINDTODEVICE => {
            let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
            if ip.bound_device() != 0 && !task.creds().has(Cap::CAP_NET_RAW) {
                return err(Errno::EPERM);
            }
            let device = match std::str::from_utf8(name) {
                Ok("") => 0,
                Ok(name) => net.with_links(|links| links.by_name(name).map(|d| d.index)).ok_or(Errno::ENODEV)?,
                Err(_) => return err(Errno::ENODEV),
            };
            ip.set_bound_device(device);
            Ok(())
        }
        SO_BINDTOIFINDEX => {
            let device = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL)?;
            if device != 0 && net.with_links(|links| links.device(device).is_none()) {
                return err(Errno::ENODEV);
            }
            ip.set_bound_device(device);
            Ok(())
        }
        // Of streams: bytes within the sandbox are no packets. A program that must have a filter hears that there is none.
        SO_DETACH_FILTER => err(Errno::ENOENT),
        SO_ATTACH_FILTER | SO_ATTACH_BPF => err(Errno::EPERM),
        SO_MAX_PACING_RATE if value.len() >= 4 => Ok(()),
        SO_TIMESTAMPING | SO_TIMESTAMPING_NEW => match value.first_chunk() {
            Some(bytes) if u32::from_ne_bytes(*bytes) == 0 => Ok(()),
            _ => err(Errno::EINVAL),
        },
        _ => err(Errno::ENOPROTOOPT),
    }
}
