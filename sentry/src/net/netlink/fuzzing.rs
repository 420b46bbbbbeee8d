//! An entry for the fuzzer: datagrams as programs send them.

use abi::netlink::{Ifaddrmsg, Ifinfomsg, InetDiagReqV2, Rtmsg};

use super::message::{self, Request};

pub(crate) fn run(bytes: &[u8]) {
    for request in message::requests(bytes) {
        let _ = request.is_dump();
        look::<Ifinfomsg>(&request);
        look::<Ifaddrmsg>(&request);
        look::<Rtmsg>(&request);
        look::<InetDiagReqV2>(&request);
        let mut reply = message::Reply::new(&request, 7);
        reply.acknowledge(&request, &Ok(()), request.has(1));
        reply.acknowledge(&request, &crate::error::err(abi::Errno::EINVAL), false);
        reply.finish();
        let _ = reply.into_datagrams();
    }
}

fn look<T: zerocopy::FromBytes + zerocopy::IntoBytes>(request: &Request<'_>) {
    let Ok((_, attributes)) = request.split::<T>() else { return };
    for kind in 0..24 {
        let _ = (attributes.find(kind), attributes.u32(kind), attributes.text(kind));
    }
}
