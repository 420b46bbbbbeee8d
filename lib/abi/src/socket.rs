//! Sockets: families, types, options, messages and control messages. Addresses are in [`crate::sockaddr`].
#![expect(missing_docs, reason = "the names are Linux's, see socket(7)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

numbers! {
    /// The name of an address family.
    pub fn family_name(u16) {
        AF_UNSPEC = 0,
        AF_UNIX = 1,
        AF_INET = 2,
        AF_INET6 = 10,
        AF_NETLINK = 16,
        AF_PACKET = 17,
        AF_BLUETOOTH = 31,
        AF_CAN = 29,
        AF_TIPC = 30,
        AF_ALG = 38,
        AF_VSOCK = 40,
        AF_XDP = 44,
    }
}

numbers! {
    /// The name of a socket type.
    pub fn sock_type_name(u32) {
        SOCK_STREAM = 1,
        SOCK_DGRAM = 2,
        SOCK_RAW = 3,
        SOCK_RDM = 4,
        SOCK_SEQPACKET = 5,
        SOCK_DCCP = 6,
        SOCK_PACKET = 10,
    }
}

/// The bits of a type that are not flags.
pub const SOCK_TYPE_MASK: u32 = 0xf;
/// Families from here on are unknown to everybody.
pub const AF_MAX: u16 = 46;
/// Types from here on are invalid.
pub const SOCK_MAX: u32 = 11;

flags! {
    /// Flags in the type of socket(2), and of accept4(2).
    pub struct SockFlags: u32 {
        const SOCK_NONBLOCK = 0x800;
        const SOCK_CLOEXEC = 0x80000;
    }
}

/// Longest backlog listen(2) grants (/proc/sys/net/core/somaxconn).
pub const SOMAXCONN: i32 = 4096;

numbers! {
    /// The name of `how` of shutdown(2).
    pub fn shutdown_name(u32) {
        SHUT_RD = 0,
        SHUT_WR = 1,
        SHUT_RDWR = 2,
    }
}

flags! {
    /// `flags` of send(2) and recv(2).
    pub struct MsgFlags: u32 {
        const MSG_OOB = 0x1;
        const MSG_PEEK = 0x2;
        const MSG_DONTROUTE = 0x4;
        const MSG_CTRUNC = 0x8;
        const MSG_PROBE = 0x10;
        const MSG_TRUNC = 0x20;
        const MSG_DONTWAIT = 0x40;
        const MSG_EOR = 0x80;
        const MSG_WAITALL = 0x100;
        const MSG_FIN = 0x200;
        const MSG_SYN = 0x400;
        const MSG_CONFIRM = 0x800;
        const MSG_RST = 0x1000;
        const MSG_ERRQUEUE = 0x2000;
        const MSG_NOSIGNAL = 0x4000;
        const MSG_MORE = 0x8000;
        const MSG_WAITFORONE = 0x10000;
        const MSG_BATCH = 0x40000;
        const MSG_ZEROCOPY = 0x4000000;
        const MSG_FASTOPEN = 0x20000000;
        const MSG_CMSG_CLOEXEC = 0x40000000;
    }
}

/// `struct user_msghdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Msghdr {
    pub msg_name: u64,
    pub msg_namelen: i32,
    pub _pad: u32,
    pub msg_iov: u64,
    pub msg_iovlen: u64,
    pub msg_control: u64,
    pub msg_controllen: u64,
    pub msg_flags: u32,
    pub _pad2: u32,
}

/// `struct mmsghdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Mmsghdr {
    pub msg_hdr: Msghdr,
    pub msg_len: u32,
    pub _pad: u32,
}

/// `struct cmsghdr`: header of a control message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Cmsghdr {
    pub cmsg_len: u64,
    pub cmsg_level: i32,
    pub cmsg_type: i32,
}

/// Bytes of [`Cmsghdr`].
pub const CMSG_HDR_LEN: usize = 16;

/// `CMSG_ALIGN`: the next multiple of eight.
#[must_use]
pub const fn cmsg_align(len: usize) -> usize {
    len.saturating_add(7) & !7
}

/// `CMSG_LEN`: what stands in `cmsg_len` for a payload.
#[must_use]
pub const fn cmsg_len(payload: usize) -> usize {
    CMSG_HDR_LEN.saturating_add(payload)
}

/// `CMSG_SPACE`: what a control message takes in the buffer.
#[must_use]
pub const fn cmsg_space(payload: usize) -> usize {
    CMSG_HDR_LEN.saturating_add(cmsg_align(payload))
}

numbers! {
    /// The name of a control message of SOL_SOCKET.
    pub fn scm_name(i32) {
        SCM_RIGHTS = 1,
        SCM_CREDENTIALS = 2,
        SCM_SECURITY = 3,
        SCM_PIDFD = 4,
    }
}

/// Most descriptors in one SCM_RIGHTS.
pub const SCM_MAX_FD: usize = 253;

/// `struct ucred`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Ucred {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

/// `struct linger`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Linger {
    pub l_onoff: i32,
    pub l_linger: i32,
}

numbers! {
    /// The name of a level of setsockopt(2).
    pub fn sol_name(i32) {
        SOL_IP = 0,
        SOL_SOCKET = 1,
        SOL_TCP = 6,
        SOL_UDP = 17,
        SOL_IPV6 = 41,
        SOL_ICMPV6 = 58,
        SOL_UDPLITE = 136,
        SOL_RAW = 255,
        SOL_PACKET = 263,
        SOL_NETLINK = 270,
    }
}

numbers! {
    /// The name of an option of SOL_SOCKET.
    pub fn so_name(i32) {
        SO_DEBUG = 1,
        SO_REUSEADDR = 2,
        SO_TYPE = 3,
        SO_ERROR = 4,
        SO_DONTROUTE = 5,
        SO_BROADCAST = 6,
        SO_SNDBUF = 7,
        SO_RCVBUF = 8,
        SO_KEEPALIVE = 9,
        SO_OOBINLINE = 10,
        SO_NO_CHECK = 11,
        SO_PRIORITY = 12,
        SO_LINGER = 13,
        SO_BSDCOMPAT = 14,
        SO_REUSEPORT = 15,
        SO_PASSCRED = 16,
        SO_PEERCRED = 17,
        SO_RCVLOWAT = 18,
        SO_SNDLOWAT = 19,
        SO_RCVTIMEO = 20,
        SO_SNDTIMEO = 21,
        SO_BINDTODEVICE = 25,
        SO_ATTACH_FILTER = 26,
        SO_DETACH_FILTER = 27,
        SO_PEERNAME = 28,
        SO_TIMESTAMP = 29,
        SO_ACCEPTCONN = 30,
        SO_PEERSEC = 31,
        SO_SNDBUFFORCE = 32,
        SO_RCVBUFFORCE = 33,
        SO_PASSSEC = 34,
        SO_TIMESTAMPNS = 35,
        SO_MARK = 36,
        SO_TIMESTAMPING = 37,
        SO_PROTOCOL = 38,
        SO_DOMAIN = 39,
        SO_RXQ_OVFL = 40,
        SO_WIFI_STATUS = 41,
        SO_PEEK_OFF = 42,
        SO_NOFCS = 43,
        SO_LOCK_FILTER = 44,
        SO_SELECT_ERR_QUEUE = 45,
        SO_BUSY_POLL = 46,
        SO_MAX_PACING_RATE = 47,
        SO_BPF_EXTENSIONS = 48,
        SO_INCOMING_CPU = 49,
        SO_ATTACH_BPF = 50,
        SO_ATTACH_REUSEPORT_CBPF = 51,
        SO_ATTACH_REUSEPORT_EBPF = 52,
        SO_CNX_ADVICE = 53,
        SO_MEMINFO = 55,
        SO_INCOMING_NAPI_ID = 56,
        SO_COOKIE = 57,
        SO_PEERGROUPS = 59,
        SO_ZEROCOPY = 60,
        SO_TXTIME = 61,
        SO_BINDTOIFINDEX = 62,
        SO_TIMESTAMP_NEW = 63,
        SO_TIMESTAMPNS_NEW = 64,
        SO_TIMESTAMPING_NEW = 65,
        SO_RCVTIMEO_NEW = 66,
        SO_SNDTIMEO_NEW = 67,
        SO_DETACH_REUSEPORT_BPF = 68,
        SO_PREFER_BUSY_POLL = 69,
        SO_BUSY_POLL_BUDGET = 70,
        SO_NETNS_COOKIE = 71,
        SO_BUF_LOCK = 72,
        SO_RESERVE_MEM = 73,
        SO_TXREHASH = 74,
        SO_RCVMARK = 75,
        SO_PASSPIDFD = 76,
        SO_PEERPIDFD = 77,
    }
}

/// Another name of SO_ATTACH_FILTER, for getsockopt(2).
pub const SO_GET_FILTER: i32 = SO_ATTACH_FILTER;

numbers! {
    /// The name of an option of SOL_PACKET.
    pub fn packet_name(i32) {
        PACKET_ADD_MEMBERSHIP = 1,
        PACKET_DROP_MEMBERSHIP = 2,
        PACKET_RECV_OUTPUT = 3,
        PACKET_RX_RING = 5,
        PACKET_STATISTICS = 6,
        PACKET_COPY_THRESH = 7,
        PACKET_AUXDATA = 8,
        PACKET_ORIGDEV = 9,
        PACKET_VERSION = 10,
        PACKET_HDRLEN = 11,
        PACKET_RESERVE = 12,
        PACKET_TX_RING = 13,
        PACKET_LOSS = 14,
        PACKET_VNET_HDR = 15,
        PACKET_TX_TIMESTAMP = 16,
        PACKET_TIMESTAMP = 17,
        PACKET_FANOUT = 18,
        PACKET_TX_HAS_OFF = 19,
        PACKET_QDISC_BYPASS = 20,
        PACKET_ROLLOVER_STATS = 21,
        PACKET_FANOUT_DATA = 22,
        PACKET_IGNORE_OUTGOING = 23,
        PACKET_VNET_HDR_SZ = 24,
    }
}

/// `struct packet_mreq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PacketMreq {
    pub mr_ifindex: i32,
    pub mr_type: u16,
    pub mr_alen: u16,
    pub mr_address: [u8; 8],
}

/// `struct tpacket_auxdata`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TpacketAuxdata {
    pub tp_status: u32,
    pub tp_len: u32,
    pub tp_snaplen: u32,
    pub tp_mac: u16,
    pub tp_net: u16,
    pub tp_vlan_tci: u16,
    pub tp_vlan_tpid: u16,
}

/// `struct tpacket_stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TpacketStats {
    pub tp_packets: u32,
    pub tp_drops: u32,
}

/// `struct tpacket_req`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TpacketReq {
    pub tp_block_size: u32,
    pub tp_block_nr: u32,
    pub tp_frame_size: u32,
    pub tp_frame_nr: u32,
}

pub const TP_STATUS_USER: u32 = 1;
pub const PACKET_HOST: u8 = 0;
pub const PACKET_BROADCAST: u8 = 1;
pub const PACKET_MULTICAST: u8 = 2;
pub const PACKET_OTHERHOST: u8 = 3;
pub const PACKET_OUTGOING: u8 = 4;
pub const PACKET_MR_MULTICAST: u16 = 0;
pub const PACKET_MR_PROMISC: u16 = 1;
pub const PACKET_MR_ALLMULTI: u16 = 2;
pub const PACKET_MR_UNICAST: u16 = 3;
pub const ETH_P_ALL: u16 = 3;
pub const ETH_P_IP: u16 = 0x800;
pub const ETH_P_IPV6: u16 = 0x86dd;
/// What stands for a protocol in frames with a length there.
pub const ETH_P_802_2: u16 = 4;

numbers! {
    /// The name of an option of SOL_TCP.
    pub fn tcp_name(i32) {
        TCP_NODELAY = 1,
        TCP_MAXSEG = 2,
        TCP_CORK = 3,
        TCP_KEEPIDLE = 4,
        TCP_KEEPINTVL = 5,
        TCP_KEEPCNT = 6,
        TCP_SYNCNT = 7,
        TCP_LINGER2 = 8,
        TCP_DEFER_ACCEPT = 9,
        TCP_WINDOW_CLAMP = 10,
        TCP_INFO = 11,
        TCP_QUICKACK = 12,
        TCP_CONGESTION = 13,
        TCP_MD5SIG = 14,
        TCP_THIN_LINEAR_TIMEOUTS = 16,
        TCP_THIN_DUPACK = 17,
        TCP_USER_TIMEOUT = 18,
        TCP_REPAIR = 19,
        TCP_QUEUE_SEQ = 21,
        TCP_FASTOPEN = 23,
        TCP_TIMESTAMP = 24,
        TCP_NOTSENT_LOWAT = 25,
        TCP_CC_INFO = 26,
        TCP_SAVE_SYN = 27,
        TCP_SAVED_SYN = 28,
        TCP_FASTOPEN_CONNECT = 30,
        TCP_ULP = 31,
        TCP_ZEROCOPY_RECEIVE = 35,
        TCP_INQ = 36,
        TCP_TX_DELAY = 37,
    }
}

numbers! {
    /// The name of an option of SOL_IP.
    pub fn ip_name(i32) {
        IP_TOS = 1,
        IP_TTL = 2,
        IP_HDRINCL = 3,
        IP_OPTIONS = 4,
        IP_ROUTER_ALERT = 5,
        IP_RECVOPTS = 6,
        IP_RETOPTS = 7,
        IP_PKTINFO = 8,
        IP_PKTOPTIONS = 9,
        IP_MTU_DISCOVER = 10,
        IP_RECVERR = 11,
        IP_RECVTTL = 12,
        IP_RECVTOS = 13,
        IP_MTU = 14,
        IP_FREEBIND = 15,
        IP_TRANSPARENT = 19,
        IP_RECVORIGDSTADDR = 20,
        IP_MINTTL = 21,
        IP_NODEFRAG = 22,
        IP_CHECKSUM = 23,
        IP_BIND_ADDRESS_NO_PORT = 24,
        IP_RECVFRAGSIZE = 25,
        IP_RECVERR_RFC4884 = 26,
        IP_MULTICAST_IF = 32,
        IP_MULTICAST_TTL = 33,
        IP_MULTICAST_LOOP = 34,
        IP_ADD_MEMBERSHIP = 35,
        IP_DROP_MEMBERSHIP = 36,
        IP_ADD_SOURCE_MEMBERSHIP = 39,
        IP_DROP_SOURCE_MEMBERSHIP = 40,
        IP_MULTICAST_ALL = 49,
        IP_UNICAST_IF = 50,
        IP_LOCAL_PORT_RANGE = 51,
    }
}

/// Options of SOL_IP and SOL_IPV6 alike: groups by `struct group_req`.
pub const MCAST_JOIN_GROUP: i32 = 42;
pub const MCAST_LEAVE_GROUP: i32 = 45;

numbers! {
    /// The name of an option of SOL_IPV6.
    pub fn ipv6_name(i32) {
        IPV6_ADDRFORM = 1,
        IPV6_2292PKTINFO = 2,
        IPV6_CHECKSUM = 7,
        IPV6_2292HOPLIMIT = 8,
        IPV6_UNICAST_HOPS = 16,
        IPV6_MULTICAST_IF = 17,
        IPV6_MULTICAST_HOPS = 18,
        IPV6_MULTICAST_LOOP = 19,
        IPV6_ADD_MEMBERSHIP = 20,
        IPV6_DROP_MEMBERSHIP = 21,
        IPV6_MTU_DISCOVER = 23,
        IPV6_MTU = 24,
        IPV6_RECVERR = 25,
        IPV6_V6ONLY = 26,
        IPV6_MULTICAST_ALL = 29,
        IPV6_FLOWINFO_SEND = 33,
        IPV6_RECVPKTINFO = 49,
        IPV6_PKTINFO = 50,
        IPV6_RECVHOPLIMIT = 51,
        IPV6_HOPLIMIT = 52,
        IPV6_DONTFRAG = 62,
        IPV6_RECVTCLASS = 66,
        IPV6_TCLASS = 67,
        IPV6_AUTOFLOWLABEL = 70,
        IPV6_ADDR_PREFERENCES = 72,
        IPV6_TRANSPARENT = 75,
        IPV6_UNICAST_IF = 76,
        IPV6_FREEBIND = 78,
    }
}

/// ICMP_FILTER of SOL_RAW, and that of SOL_ICMPV6: which types a raw socket does not want.
pub const ICMP_FILTER: i32 = 1;
/// UDP_CORK of SOL_UDP.
pub const UDP_CORK: i32 = 1;
pub const UDP_SEGMENT: i32 = 103;
pub const UDP_GRO: i32 = 104;
/// Where an error of the error queue comes from.
pub const SO_EE_ORIGIN_LOCAL: u8 = 1;
pub const SO_EE_ORIGIN_ICMP: u8 = 2;
pub const SO_EE_ORIGIN_ICMP6: u8 = 3;

/// `struct sock_extended_err`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SockExtendedErr {
    pub ee_errno: u32,
    pub ee_origin: u8,
    pub ee_type: u8,
    pub ee_code: u8,
    pub ee_pad: u8,
    pub ee_info: u32,
    pub ee_data: u32,
}

/// `struct in_pktinfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct InPktinfo {
    pub ipi_ifindex: i32,
    pub ipi_spec_dst: [u8; 4],
    pub ipi_addr: [u8; 4],
}

/// `struct in6_pktinfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct In6Pktinfo {
    pub ipi6_addr: [u8; 16],
    pub ipi6_ifindex: u32,
}

/// `struct tcp_info`, as long as it is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TcpInfo {
    pub tcpi_state: u8,
    pub tcpi_ca_state: u8,
    pub tcpi_retransmits: u8,
    pub tcpi_probes: u8,
    pub tcpi_backoff: u8,
    pub tcpi_options: u8,
    pub tcpi_wscale: u8,
    pub tcpi_delivery_rate_app_limited: u8,
    pub tcpi_rto: u32,
    pub tcpi_ato: u32,
    pub tcpi_snd_mss: u32,
    pub tcpi_rcv_mss: u32,
    pub tcpi_unacked: u32,
    pub tcpi_sacked: u32,
    pub tcpi_lost: u32,
    pub tcpi_retrans: u32,
    pub tcpi_fackets: u32,
    pub tcpi_last_data_sent: u32,
    pub tcpi_last_ack_sent: u32,
    pub tcpi_last_data_recv: u32,
    pub tcpi_last_ack_recv: u32,
    pub tcpi_pmtu: u32,
    pub tcpi_rcv_ssthresh: u32,
    pub tcpi_rtt: u32,
    pub tcpi_rttvar: u32,
    pub tcpi_snd_ssthresh: u32,
    pub tcpi_snd_cwnd: u32,
    pub tcpi_advmss: u32,
    pub tcpi_reordering: u32,
    pub tcpi_rcv_rtt: u32,
    pub tcpi_rcv_space: u32,
    pub tcpi_total_retrans: u32,
    pub tcpi_pacing_rate: u64,
    pub tcpi_max_pacing_rate: u64,
    pub tcpi_bytes_acked: u64,
    pub tcpi_bytes_received: u64,
    pub tcpi_segs_out: u32,
    pub tcpi_segs_in: u32,
    pub tcpi_notsent_bytes: u32,
    pub tcpi_min_rtt: u32,
    pub tcpi_data_segs_in: u32,
    pub tcpi_data_segs_out: u32,
    pub tcpi_delivery_rate: u64,
    pub tcpi_busy_time: u64,
    pub tcpi_rwnd_limited: u64,
    pub tcpi_sndbuf_limited: u64,
    pub tcpi_delivered: u32,
    pub tcpi_delivered_ce: u32,
    pub tcpi_bytes_sent: u64,
    pub tcpi_bytes_retrans: u64,
    pub tcpi_dsack_dups: u32,
    pub tcpi_reord_seen: u32,
    pub tcpi_rcv_ooopack: u32,
    pub tcpi_snd_wnd: u32,
}

pub const IPPROTO_IP: i32 = 0;
pub const IPPROTO_ICMP: i32 = 1;
pub const IPPROTO_IGMP: i32 = 2;
pub const IPPROTO_TCP: i32 = 6;
pub const IPPROTO_UDP: i32 = 17;
pub const IPPROTO_UDPLITE: i32 = 136;
pub const UDPLITE_SEND_CSCOV: i32 = 10;
pub const UDPLITE_RECV_CSCOV: i32 = 11;
pub const IPPROTO_IPV6: i32 = 41;
pub const IPPROTO_ICMPV6: i32 = 58;
pub const IPPROTO_RAW: i32 = 255;
pub const NETLINK_ROUTE: i32 = 0;
pub const NETLINK_SOCK_DIAG: i32 = 4;
pub const NETLINK_AUDIT: i32 = 9;
pub const NETLINK_KOBJECT_UEVENT: i32 = 15;
pub const NETLINK_GENERIC: i32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<Msghdr>(), size_of::<libc::msghdr>());
        assert_eq!(core::mem::offset_of!(Msghdr, msg_flags), core::mem::offset_of!(libc::msghdr, msg_flags));
        assert_eq!(size_of::<Mmsghdr>(), size_of::<libc::mmsghdr>());
        assert_eq!(size_of::<Cmsghdr>(), CMSG_HDR_LEN);
        assert_eq!((cmsg_len(4), cmsg_space(4), cmsg_space(usize::MAX) > 0), (20, 24, true));
    }
}
