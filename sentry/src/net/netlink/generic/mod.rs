//! NETLINK_GENERIC: families that are found by name. There are two: the one that tells of families, and `taskstats`.

mod taskstats;

use abi::Errno;
use abi::netlink::NLM_F_DUMP;
use abi::taskstats::*;
use zerocopy::IntoBytes;

use super::message::{Attributes, Reply, Request};
use crate::error::{Result, err};
use crate::task::CurrentTask;

/// A family: number, name, version, and its commands with their flags.
struct Family {
    id: u16,
    name: &'static str,
    version: u8,
    max_attr: u32,
    ops: &'static [(u8, u32)],
}

/// Numbers are given as families register; programs ask for them.
const TASKSTATS_ID: u16 = 0x1f;

const FAMILIES: &[Family] = &[
    Family {
        id: GENL_ID_CTRL,
        name: "nlctrl",
        version: 2,
        max_attr: 10,
        ops: &[(CTRL_CMD_GETFAMILY, GENL_CMD_CAP_DO | GENL_CMD_CAP_DUMP | GENL_CMD_CAP_HASPOL)],
    },
    Family {
        id: TASKSTATS_ID,
        name: "TASKSTATS",
        version: 1,
        max_attr: 0,
        ops: &[(TASKSTATS_CMD_GET, GENL_ADMIN_PERM | GENL_CMD_CAP_DO | GENL_CMD_CAP_HASPOL)],
    },
];

pub(super) fn answer(task: &CurrentTask, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    let id = request.header.nlmsg_type;
    let Some(family) = FAMILIES.iter().find(|family| family.id == id) else { return err(Errno::ENOENT) };
    let (head, attributes) = request.split::<Genlmsghdr>()?;
    if !family.ops.iter().any(|(cmd, _)| *cmd == head.cmd) {
        return err(Errno::EOPNOTSUPP);
    }
    match family.id {
        GENL_ID_CTRL => get_family(request, attributes, reply),
        _ => taskstats::answer(task, family.id, attributes, reply),
    }
}

/// CTRL_CMD_GETFAMILY: one by number or name, or all.
fn get_family(request: &Request<'_>, attributes: Attributes<'_>, reply: &mut Reply) -> Result<()> {
    if request.has(NLM_F_DUMP) {
        FAMILIES.iter().for_each(|family| describe(family, reply));
        return Ok(());
    }
    let number =
        attributes.find(CTRL_ATTR_FAMILY_ID).and_then(|data| data.first_chunk()).map(|b| u16::from_ne_bytes(*b));
    let name = attributes.text(CTRL_ATTR_FAMILY_NAME);
    let found = match (number, name) {
        (Some(number), _) => FAMILIES.iter().find(|family| family.id == number),
        (None, Some(name)) => FAMILIES.iter().find(|family| family.name == name),
        (None, None) => return err(Errno::EINVAL),
    };
    describe(found.ok_or(Errno::ENOENT)?, reply);
    Ok(())
}

fn describe(family: &Family, reply: &mut Reply) {
    let head = Genlmsghdr { cmd: CTRL_CMD_NEWFAMILY, version: 2, reserved: 0 };
    reply.message(GENL_ID_CTRL, &head, |reply| {
        reply.attr_text(CTRL_ATTR_FAMILY_NAME, family.name);
        reply.attr(CTRL_ATTR_FAMILY_ID, &family.id.to_ne_bytes());
        reply.attr_u32(CTRL_ATTR_VERSION, family.version.into());
        reply.attr_u32(CTRL_ATTR_HDRSIZE, 0);
        reply.attr_u32(CTRL_ATTR_MAXATTR, family.max_attr);
        let mut list = Vec::new();
        for (index, (cmd, flags)) in (1..).zip(family.ops) {
            let mut op = Vec::new();
            nest(&mut op, CTRL_ATTR_OP_ID, &u32::from(*cmd).to_ne_bytes());
            nest(&mut op, CTRL_ATTR_OP_FLAGS, &flags.to_ne_bytes());
            nest(&mut list, index, &op);
        }
        reply.attr(CTRL_ATTR_OPS, &list);
    });
}

/// Adds an attribute to what will be the inside of another one. Data comes in multiples of four bytes.
fn nest(into: &mut Vec<u8>, kind: u16, data: &[u8]) {
    let len = u16::try_from(size_of::<abi::netlink::Nlattr>() + data.len()).unwrap_or(u16::MAX);
    into.extend_from_slice(abi::netlink::Nlattr { nla_len: len, nla_type: kind }.as_bytes());
    into.extend_from_slice(data);
}
