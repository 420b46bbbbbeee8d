//! ioctl(2) about network devices, netdevice(7): the same on every socket.

use std::net::{IpAddr, Ipv4Addr};

use abi::capability::Cap;
use abi::ioctl::{
    SIOCADDRT, SIOCDARP, SIOCDELRT, SIOCETHTOOL, SIOCGARP, SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFCONF, SIOCGIFDSTADDR,
    SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFMAP, SIOCGIFMEM, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFNAME,
    SIOCGIFNETMASK, SIOCGIFTXQLEN, SIOCSARP, SIOCSIFADDR, SIOCSIFBRDADDR, SIOCSIFDSTADDR, SIOCSIFFLAGS, SIOCSIFHWADDR,
    SIOCSIFMETRIC, SIOCSIFMTU, SIOCSIFNAME, SIOCSIFNETMASK, SIOCSIFTXQLEN,
};
use abi::sockaddr::{IFF_ALLMULTI, IFF_PROMISC, IFF_UP, IFNAMSIZ, Ifconf, Ifreq, SockaddrIn};
use abi::socket::AF_INET;
use abi::{Errno, UserAddr};
use zerocopy::{FromBytes, IntoBytes};

use super::device::{Address, Device};
use super::route::{self, Links};
use super::stack::NetStack;
use crate::error::{Result, SysResult, err};
use crate::task::CurrentTask;
use crate::user::UserPtr;

/// Answers a request about a device; ENOTTY for what is none.
pub fn device(task: &CurrentTask, net: &NetStack, cmd: u32, arg: u64) -> SysResult {
    match cmd {
        SIOCGIFCONF => return list(task, net, arg),
        SIOCGIFNAME | SIOCGIFFLAGS | SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK | SIOCGIFMETRIC
        | SIOCGIFMEM | SIOCGIFMTU | SIOCGIFHWADDR | SIOCGIFINDEX | SIOCGIFTXQLEN | SIOCGIFMAP => {}
        SIOCSIFFLAGS | SIOCSIFADDR | SIOCSIFDSTADDR | SIOCSIFBRDADDR | SIOCSIFNETMASK | SIOCSIFMETRIC | SIOCSIFMTU
        | SIOCSIFHWADDR | SIOCSIFTXQLEN | SIOCSIFNAME => {
            if !task.creds().has_in(Cap::CAP_NET_ADMIN, &task.namespaces().net.user_ns) {
                return err(Errno::EPERM);
            }
            let request: Ifreq = task.mm().read(UserPtr::new(UserAddr(arg)))?;
            net.change_links(|links| change(links, cmd, &request))?;
            return Ok(0);
        }
        SIOCETHTOOL => return err(Errno::EOPNOTSUPP),
        SIOCGARP => return err(Errno::ENXIO),
        SIOCADDRT | SIOCDELRT | SIOCSARP | SIOCDARP => {
            let admin = task.creds().has_in(Cap::CAP_NET_ADMIN, &task.namespaces().net.user_ns);
            return err(if admin { Errno::EOPNOTSUPP } else { Errno::EPERM });
        }
        _ => return err(Errno::ENOTTY),
    }
    let at = UserPtr::<Ifreq>::new(UserAddr(arg));
    let mut request = task.mm().read(at)?;
    net.with_links(|links| look(links, cmd, &mut request))?;
    task.mm().write(at, &request)?;
    Ok(0)
}

/// SIOCGIFCONF: all IPv4 addresses, or how much room they need.
fn list(task: &CurrentTask, net: &NetStack, arg: u64) -> SysResult {
    let at = UserPtr::<Ifconf>::new(UserAddr(arg));
    let mut conf = task.mm().read(at)?;
    let entries = net.with_links(|links| {
        let mut entries = Vec::new();
        for device in &links.devices {
            for address in device.addresses.iter().filter(|address| address.ip.is_ipv4()) {
                let mut entry = named(&device.name);
                put_address(&mut entry, address.ip);
                entries.push(entry);
            }
        }
        entries
    });
    let size = size_of::<Ifreq>();
    let fits = if conf.ifc_buf == 0 {
        entries.len()
    } else {
        let room = usize::try_from(conf.ifc_len).map_err(|_| Errno::EINVAL)?;
        let fits = entries.len().min(room / size);
        task.mm().write_slice(UserPtr::new(UserAddr(conf.ifc_buf)), &entries[..fits])?;
        fits
    };
    conf.ifc_len = i32::try_from(fits * size).unwrap_or(i32::MAX);
    task.mm().write(at, &conf)?;
    Ok(0)
}

fn named(name: &str) -> Ifreq {
    let mut request = Ifreq::default();
    let len = name.len().min(IFNAMSIZ - 1);
    request.ifr_name[..len].copy_from_slice(&name.as_bytes()[..len]);
    request
}

/// The name that a request is about; an alias (`lo:1`) is its device.
fn name_of(request: &Ifreq) -> Result<&str> {
    let name = request.ifr_name.split(|byte| *byte == 0 || *byte == b':').next().unwrap_or_default();
    std::str::from_utf8(name).map_err(|_| Errno::ENODEV.into())
}

fn put(request: &mut Ifreq, bytes: &[u8]) {
    let data = request.ifr_data.as_mut_bytes();
    let len = bytes.len().min(data.len());
    data[..len].copy_from_slice(&bytes[..len]);
}

fn put_address(request: &mut Ifreq, ip: IpAddr) {
    if let IpAddr::V4(ip) = ip {
        let addr = SockaddrIn { sin_family: AF_INET, sin_addr: ip.octets(), ..SockaddrIn::default() };
        put(request, addr.as_bytes());
    }
}

fn look(links: &Links, cmd: u32, request: &mut Ifreq) -> Result<()> {
    if cmd == SIOCGIFNAME {
        let index = request.ifr_data.as_bytes().first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let device = links.device(index).ok_or(Errno::ENODEV)?;
        request.ifr_name = named(&device.name).ifr_name;
        return Ok(());
    }
    let device = links.by_name(name_of(request)?).ok_or(Errno::ENODEV)?;
    let first = || device.addresses.iter().find(|address| address.ip.is_ipv4()).ok_or(Errno::EADDRNOTAVAIL);
    let word = |value: u32| value.to_ne_bytes();
    match cmd {
        SIOCGIFFLAGS => put(request, &device.flags().to_ne_bytes()),
        SIOCGIFADDR | SIOCGIFDSTADDR => put_address(request, first()?.ip),
        SIOCGIFBRDADDR => {
            let broadcast = first()?.broadcast.unwrap_or(Ipv4Addr::UNSPECIFIED);
            put_address(request, IpAddr::V4(broadcast));
        }
        SIOCGIFNETMASK => {
            let prefix = first()?.prefix;
            put_address(request, route::network(IpAddr::V4(Ipv4Addr::BROADCAST), prefix));
        }
        SIOCGIFMETRIC => put(request, &word(0)),
        SIOCGIFMEM => return err(Errno::ENOTTY),
        SIOCGIFMTU => put(request, &word(device.mtu)),
        SIOCGIFINDEX => put(request, &word(device.index)),
        SIOCGIFTXQLEN => put(request, &word(device.queue_len)),
        SIOCGIFMAP => put(request, &[0; 24]),
        _ => put_hardware(request, device),
    }
    Ok(())
}

fn put_hardware(request: &mut Ifreq, device: &Device) {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&device.hardware().to_ne_bytes());
    bytes[2..8].copy_from_slice(&device.mac);
    put(request, &bytes);
}

fn change(links: &mut Links, cmd: u32, request: &Ifreq) -> Result<()> {
    let name = name_of(request)?;
    let index = links.by_name(name).ok_or(Errno::ENODEV)?.index;
    let device = links.device_mut(index).ok_or(Errno::ENODEV)?;
    let data = request.ifr_data.as_bytes();
    let word = data.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    match cmd {
        SIOCSIFFLAGS => {
            let flags = data.first_chunk().map_or(0, |bytes| u16::from_ne_bytes(*bytes));
            device.set_up(flags & IFF_UP != 0);
            device.extra_flags = flags & (IFF_PROMISC | IFF_ALLMULTI);
        }
        SIOCSIFMTU => device.mtu = u32::try_from(word).ok().filter(|mtu| *mtu >= 68).ok_or(Errno::EINVAL)?,
        SIOCSIFTXQLEN => device.queue_len = u32::try_from(word).map_err(|_| Errno::EINVAL)?,
        SIOCSIFADDR => {
            let ip = address_of(data)?;
            device.addresses.retain(|address| !address.ip.is_ipv4());
            if !ip.is_unspecified() {
                let prefix = if ip.octets()[0] < 128 {
                    8
                } else if ip.octets()[0] < 192 {
                    16
                } else {
                    24
                };
                let label = device.name.clone();
                device.addresses.insert(0, Address::new(IpAddr::V4(ip), prefix, &label));
            }
        }
        SIOCSIFNETMASK => {
            let mask = address_of(data)?.to_bits();
            let prefix = mask.leading_ones();
            if prefix + mask.trailing_zeros() < 32 {
                return err(Errno::EINVAL);
            }
            let first = device.addresses.iter_mut().find(|address| address.ip.is_ipv4());
            first.ok_or(Errno::EADDRNOTAVAIL)?.prefix = u8::try_from(prefix).unwrap_or(32);
        }
        SIOCSIFBRDADDR => {
            let broadcast = address_of(data)?;
            let first = device.addresses.iter_mut().find(|address| address.ip.is_ipv4());
            first.ok_or(Errno::EADDRNOTAVAIL)?.broadcast = Some(broadcast);
        }
        _ => return err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

fn address_of(data: &[u8]) -> Result<Ipv4Addr> {
    let (addr, _) = SockaddrIn::read_from_prefix(data).map_err(|_| Errno::EINVAL)?;
    if addr.sin_family == AF_INET { Ok(addr.sin_addr.into()) } else { err(Errno::EINVAL) }
}
