//! `/proc/PID/net`: sockets, devices and routes of the process's network namespace, in Linux's columns.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::process::Subject;
use crate::error::Result;
use crate::fs::pseudo::Tree;
use crate::fs::pseudo::dir::StaticDir;
use crate::fs::pseudo::text::TextFile;
use crate::net::Owner;
use crate::net::inet::datagram::{DatagramListing, Protocol};
use crate::net::inet::device::{SCOPE_HOST, SCOPE_LINK};
use crate::net::inet::route::{self, TABLE_MAIN};
use crate::net::inet::stack::NetStack;
use crate::vfs::Inode;

/// Makes the text of a file.
type Show = fn(&NetStack, &mut String) -> std::fmt::Result;

const FILES: &[(&str, Show)] = &[
    ("arp", |_, out| out.write_str("IP address       HW type     Flags       HW address            Mask     Device\n")),
    ("dev", dev),
    ("dev_mcast", |_, _| Ok(())),
    ("icmp", |net, out| packets(net.datagram_listings(Some(Protocol::Ping)), false, out)),
    ("icmp6", |net, out| packets(net.datagram_listings(Some(Protocol::Ping)), true, out)),
    ("if_inet6", if_inet6),
    ("igmp6", |_, _| Ok(())),
    ("igmp", |_, out| out.write_str("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")),
    ("ipv6_route", ipv6_route),
    ("netlink", netlink),
    ("netstat", |_, out| NETSTAT.iter().try_for_each(|(title, names)| zeros(title, names, out))),
    ("packet", packet_sockets),
    ("protocols", protocols),
    ("raw", |net, out| packets(net.datagram_listings(None), false, out)),
    ("raw6", |net, out| packets(net.datagram_listings(None), true, out)),
    ("route", route_table),
    ("snmp", snmp),
    ("snmp6", snmp6),
    ("sockstat", sockstat),
    ("sockstat6", sockstat6),
    ("tcp", |net, out| tcp(net, false, out)),
    ("tcp6", |net, out| tcp(net, true, out)),
    ("udp", |net, out| packets(net.datagram_listings(Some(Protocol::Udp)), false, out)),
    ("udp6", |net, out| packets(net.datagram_listings(Some(Protocol::Udp)), true, out)),
    ("unix", unix),
];

/// The directory of a process.
pub(super) fn directory(tree: &Tree, subject: &Subject) -> Arc<dyn Inode> {
    let files = FILES.iter().map(|(name, show)| {
        let task = Arc::clone(&subject.task);
        let file = TextFile::new(tree, move |_| text(&task, *show));
        (*name, file as Arc<dyn Inode>)
    });
    StaticDir::new(tree, files.collect())
}

fn text(task: &crate::task::Task, show: Show) -> Result<Vec<u8>> {
    let mut out = String::new();
    if let Some(namespaces) = task.namespaces() {
        // Writing to a string does not fail.
        let _ = show(&NetStack::in_namespace(&namespaces.net), &mut out);
    }
    Ok(out.into_bytes())
}

/// An address in the host's order of words, as these files have it.
fn hex(addr: SocketAddr, v6: bool) -> String {
    let mut out = String::new();
    let octets = match addr.ip() {
        IpAddr::V4(ip) if !v6 => ip.octets().to_vec(),
        IpAddr::V4(ip) if ip.is_unspecified() => vec![0; 16],
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    for word in octets.chunks_exact(4) {
        let word = word.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let _ = write!(out, "{word:08X}");
    }
    let _ = write!(out, ":{:04X}", addr.port());
    out
}

fn tcp(net: &NetStack, v6: bool, out: &mut String) -> std::fmt::Result {
    let names = if v6 {
        "local_address                         remote_address                       "
    } else {
        "local_address rem_address  "
    };
    let head = format!("  sl  {names} st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode");
    if v6 {
        writeln!(out, "{head}")?
    } else {
        writeln!(out, "{head:<149}")?
    };
    let mut lines: Vec<_> = net.tcp_listings().into_iter().filter(|one| one.v6 == v6).collect();
    // Listeners first.
    lines.sort_by_key(|one| (one.state != 10, one.local.port(), one.owner.ino));
    let mut number = 0;
    for one in lines {
        let (local, remote) = (hex(one.local, v6), hex(one.remote, v6));
        // A listener's send queue is how long its backlog may be, which this file does not show.
        let sending = if one.state == 10 { 0 } else { one.send_queue };
        let tail = match one.state {
            10 => "100 0 0 10 0",
            _ => "20 4 30 10 -1",
        };
        let line = format!(
            "{number:4}: {local} {remote} {:02X} {sending:08X}:{:08X} 00:00000000 00000000 {:5} {:8} {} {} {:016x} {tail}",
            one.state, one.receive_queue, one.owner.uid, 0, one.owner.ino, 1, 0,
        );
        if v6 {
            writeln!(out, "{line}")?
        } else {
            writeln!(out, "{line:<149}")?
        };
        number += 1;
    }
    for one in net.time_wait().into_iter().filter(|one| one.local.is_ipv6() == v6) {
        let left = one.until.saturating_duration_since(std::time::Instant::now()).as_millis() / 10;
        let (local, remote) = (hex(one.local, v6), hex(one.remote, v6));
        let line = format!(
            "{number:4}: {local} {remote} 06 00000000:00000000 03:{left:08X} 00000000 {:5} {:8} 0 3 {:016x}",
            0, 0, 0
        );
        if v6 {
            writeln!(out, "{line}")?
        } else {
            writeln!(out, "{line:<149}")?
        };
        number += 1;
    }
    Ok(())
}

/// UDP, ping and raw sockets.
fn packets(mut lines: Vec<DatagramListing>, v6: bool, out: &mut String) -> std::fmt::Result {
    let (first, names) = if v6 {
        ("  ", "local_address                         remote_address                       ")
    } else {
        ("   ", "local_address rem_address  ")
    };
    let head =
        format!("{first}sl  {names} st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops");
    if v6 {
        writeln!(out, "{head}")?
    } else {
        writeln!(out, "{head:<127}")?
    };
    lines.retain(|one| one.v6 == v6);
    lines.sort_by_key(|one| (one.local.port(), one.owner.ino));
    for (number, one) in lines.iter().enumerate() {
        let (local, remote) = (hex(one.local, v6), hex(one.remote, v6));
        let line = format!(
            "{number:5}: {local} {remote} {:02X} {:08X}:{:08X} 00:00000000 00000000 {:5} {:8} {} {} {:016x} {}",
            if one.connected { 1 } else { 7 },
            0,
            one.waiting,
            one.owner.uid,
            0,
            one.owner.ino,
            2,
            0,
            0,
        );
        if v6 {
            writeln!(out, "{line}")?
        } else {
            writeln!(out, "{line:<127}")?
        };
    }
    Ok(())
}

fn dev(net: &NetStack, out: &mut String) -> std::fmt::Result {
    out.write_str("Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n")?;
    net.with_links(|links| {
        links.devices.iter().try_for_each(|device| {
            let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            let counters = &device.counters;
            writeln!(
                out,
                "{:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}",
                device.name,
                get(&counters.rx_bytes),
                get(&counters.rx_packets),
                0,
                0,
                0,
                0,
                0,
                0,
                get(&counters.tx_bytes),
                get(&counters.tx_packets),
                0,
                0,
                0,
                0,
                0,
                0
            )
        })
    })
}

fn if_inet6(net: &NetStack, out: &mut String) -> std::fmt::Result {
    net.with_links(|links| {
        for device in &links.devices {
            for address in &device.addresses {
                let IpAddr::V6(ip) = address.ip else { continue };
                // IPV6_ADDR_LOOPBACK, IPV6_ADDR_LINKLOCAL
                let scope = match address.scope {
                    SCOPE_HOST => 0x10,
                    SCOPE_LINK => 0x20,
                    _ => 0,
                };
                let (bits, name) = (ip.to_bits(), &device.name);
                writeln!(out, "{bits:032x} {:02x} {:02x} {scope:02x} 80 {name:>8}", device.index, address.prefix)?;
            }
        }
        Ok(())
    })
}

fn ipv6_route(net: &NetStack, out: &mut String) -> std::fmt::Result {
    let (routes, links) = net.with_links(|links| (links.all_routes(), links.devices.clone()));
    for route in routes {
        let IpAddr::V6(to) = route.destination else { continue };
        let gateway = match route.gateway {
            Some(IpAddr::V6(ip)) => ip.to_bits(),
            _ => 0,
        };
        let name = links.iter().find(|device| device.index == route.device).map_or("lo", |device| &device.name);
        // RTF_UP, RTF_GATEWAY, RTF_LOCAL
        let flags = 1 | if gateway != 0 { 2 } else { 0 } | if route.kind == route::LOCAL { 0x8020_0000_u32 } else { 0 };
        writeln!(
            out,
            "{:032x} {:02x} {:032x} 00 {gateway:032x} {:08x} {:08x} {:08x} {flags:08x} {name:>8}",
            to.to_bits(),
            route.prefix,
            0,
            route.metric,
            1,
            0
        )?;
    }
    Ok(())
}

fn route_table(net: &NetStack, out: &mut String) -> std::fmt::Result {
    let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
    writeln!(out, "{head:<127}")?;
    let (routes, links) = net.with_links(|links| (links.all_routes(), links.devices.clone()));
    let word = |ip: Ipv4Addr| u32::from_ne_bytes(ip.octets());
    for route in routes.iter().filter(|route| route.table == TABLE_MAIN) {
        let IpAddr::V4(to) = route.destination else { continue };
        let gateway = match route.gateway {
            Some(IpAddr::V4(ip)) => word(ip),
            _ => 0,
        };
        let mask = match route::network(IpAddr::V4(Ipv4Addr::BROADCAST), route.prefix) {
            IpAddr::V4(mask) => word(mask),
            IpAddr::V6(_) => 0,
        };
        let name = links.iter().find(|device| device.index == route.device).map_or("*", |device| &device.name);
        // RTF_UP, RTF_GATEWAY
        let flags = 1 | if gateway != 0 { 2 } else { 0 };
        let line = format!(
            "{name}\t{:08X}\t{gateway:08X}\t{flags:04X}\t0\t0\t{}\t{mask:08X}\t0\t0\t0",
            word(to),
            route.metric
        );
        writeln!(out, "{line:<127}")?;
    }
    Ok(())
}

fn netlink(net: &NetStack, out: &mut String) -> std::fmt::Result {
    out.write_str("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n")?;
    for socket in net.netlink.all() {
        let one = socket.listing();
        writeln!(
            out,
            "{:016x} {:<3} {:<10} {:08x} {:<8} {:<8} {:<5} {:<8} {:<8} {:<8}",
            0, one.protocol, one.port, one.groups, one.waiting, 0, 0, 2, 0, one.owner.ino
        )?;
    }
    Ok(())
}

/// Counters of /proc/net/netstat that programs look for. Within the sandbox nothing is lost or sent again.
const NETSTAT: &[(&str, &str)] = &[
    (
        "TcpExt",
        "SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts PruneCalled RcvPruned OfoPruned OutOfWindowIcmps LockDroppedIcmps ArpFilter TW TWRecycled TWKilled PAWSActive PAWSEstab DelayedACKs DelayedACKLocked DelayedACKLost ListenOverflows ListenDrops TCPHPHits TCPPureAcks TCPHPAcks TCPRenoRecovery TCPSackRecovery TCPSACKReneging TCPSACKReorder TCPLostRetransmit TCPTimeouts TCPLossProbes TCPFastRetrans TCPSlowStartRetrans TCPBacklogDrop TCPAbortOnData TCPAbortOnClose TCPAbortOnMemory TCPAbortOnTimeout TCPAbortOnLinger TCPMemoryPressures TCPReqQFullDoCookies TCPReqQFullDrop TCPRetransFail TCPRcvCoalesce TCPOFOQueue TCPOFODrop TCPSynRetrans TCPOrigDataSent",
    ),
    (
        "IpExt",
        "InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets InMcastOctets OutMcastOctets InBcastOctets OutBcastOctets InCsumErrors InNoECTPkts InECT1Pkts InECT0Pkts InCEPkts ReasmOverlaps",
    ),
];

/// Two lines: names, and a zero for each.
fn zeros(title: &str, names: &str, out: &mut String) -> std::fmt::Result {
    let values = vec!["0"; names.split(' ').count()].join(" ");
    writeln!(out, "{title}: {names}\n{title}: {values}")
}

/// What is counted is in /proc/net/snmp, of both families together.
fn snmp6(_: &NetStack, out: &mut String) -> std::fmt::Result {
    let names = "Ip6InReceives Ip6InDelivers Ip6OutRequests Icmp6InMsgs Icmp6OutMsgs Udp6InDatagrams Udp6NoPorts Udp6InErrors Udp6OutDatagrams";
    names.split(' ').try_for_each(|name| writeln!(out, "{name:<32}\t0"))
}

fn packet_sockets(net: &NetStack, out: &mut String) -> std::fmt::Result {
    out.write_str("sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n")?;
    for one in net.packets.all().iter().map(|socket| socket.listing()) {
        writeln!(
            out,
            "{:016x} {:<6} {:<4} {:04x}   {:<5} {} {:<6} {:<6} {:<6}",
            0,
            3,
            one.kind,
            one.protocol,
            one.device,
            u8::from(one.protocol != 0),
            one.waiting,
            one.owner.uid,
            one.owner.ino
        )?;
    }
    Ok(())
}

fn protocols(_: &NetStack, out: &mut String) -> std::fmt::Result {
    out.write_str("protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em\n")?;
    for name in ["NETLINK", "UNIX", "UNIX-STREAM", "PINGv6", "RAWv6", "UDPv6", "TCPv6", "PING", "RAW", "UDP", "TCP"] {
        writeln!(
            out,
            "{name:<9} 1024      0      -1   NI       0   no   kernel      y  y  y  y  y  y  y  y  y  y  y  y  y  y  y  y  y  y"
        )?;
    }
    Ok(())
}

fn snmp(net: &NetStack, out: &mut String) -> std::fmt::Result {
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &net.counters;
    let established = net.tcp_listings().iter().filter(|one| matches!(one.state, 1 | 8)).count();
    out.write_str("Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates OutTransmits\nIp: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n")?;
    out.write_str("Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps\nIcmp: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n")?;
    writeln!(
        out,
        "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\nTcp: 1 200 120000 -1 {} {} {} {} {established} 0 0 0 0 {} 0",
        get(&counters.tcp_active),
        get(&counters.tcp_passive),
        get(&counters.tcp_failed),
        get(&counters.tcp_resets),
        get(&counters.tcp_resets),
    )?;
    writeln!(
        out,
        "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\nUdp: {} {} {dropped} {} {dropped} 0 0 0 0",
        get(&counters.udp_in),
        get(&counters.udp_no_port),
        get(&counters.udp_out),
        dropped = get(&counters.udp_dropped),
    )
}

fn sockstat(net: &NetStack, out: &mut String) -> std::fmt::Result {
    let tcp = net.tcp_listings();
    let inuse = tcp.iter().filter(|one| !one.v6 && one.state != 7).count();
    let udp = net.datagram_listings(Some(Protocol::Udp));
    let used = tcp.len() + udp.len() + net.unix.all().len() + net.netlink.all().len();
    writeln!(
        out,
        "sockets: used {used}\nTCP: inuse {inuse} orphan 0 tw {} alloc {} mem 0\nUDP: inuse {} mem 0\nUDPLITE: inuse 0\nRAW: inuse {}\nFRAG: inuse 0 memory 0",
        net.time_wait().len(),
        tcp.len(),
        udp.iter().filter(|one| !one.v6).count(),
        net.datagram_listings(None).len(),
    )
}

fn sockstat6(net: &NetStack, out: &mut String) -> std::fmt::Result {
    let inuse = net.tcp_listings().into_iter().filter(|one| one.v6 && one.state != 7).count();
    let udp = net.datagram_listings(Some(Protocol::Udp)).iter().filter(|one| one.v6).count();
    writeln!(out, "TCP6: inuse {inuse}\nUDP6: inuse {udp}\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0")
}

fn unix(net: &NetStack, out: &mut String) -> std::fmt::Result {
    out.write_str("Num       RefCount Protocol Flags    Type St Inode Path\n")?;
    let mut lines: Vec<_> = net.unix.all().iter().map(|socket| socket.listing()).collect();
    lines.sort_by_key(|one| one.owner.ino);
    for one in lines {
        let Owner { ino, .. } = one.owner;
        let flags = if one.listening { 0x10000 } else { 0 };
        // SS_UNCONNECTED, SS_CONNECTED
        let state = if one.connected { 3 } else { 1 };
        let references = if one.connected { 3 } else { 2 };
        write!(out, "{:016x}: {references:08X} {:08X} {flags:08X} {:04X} {state:02X} {ino:5}", 0, 0, one.kind)?;
        if !one.path.is_empty() {
            write!(out, " {}", String::from_utf8_lossy(&one.path))?;
        }
        out.write_char('\n')?;
    }
    Ok(())
}
