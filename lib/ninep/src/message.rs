//! The table of messages: a row is a request with its number and fields, and the response, whose number is one above.
//!
//! Numbers from 128 up belong to the extended dialect `9P2000.L.runsc1`. There, fids stay what `Twalk` made of them, a
//! place in the tree: opening (`Tdonate`) hands a host file descriptor to the client and changes nothing on the server.
#![expect(missing_docs, reason = "the fields are those of the protocol's specification")]

use crate::attr::{Attr, Device, SetAttr, Stat, StatFs};
use crate::flags::{AllocateMode, AttrMask, OpenFlags, RenameFlags, UnlinkFlags};
use crate::name::Name;
use crate::types::{Fid, Qid, Tag};
use crate::wire::{Blob, DecodeError, List, OrZero, Reader, Str, Wire, Writer, wire_struct};

/// A message with its number.
pub trait Message {
    /// The type byte.
    const TYPE: u8;
    /// Appends the body to `w`.
    fn put_body(&self, w: &mut Writer<'_>);
}

/// A message that asks, and the type of its answer.
pub trait Request: Message {
    /// The answer, borrowed from the receive buffer.
    type Reply<'r>: Message + Wire<'r>;
}

macro_rules! messages {
    ($q:lifetime $r:lifetime; $(
        $(#[$doc:meta])*
        $number:literal $treq:ident $(<$tlt:lifetime>)? { $($tf:ident: $tt:ty),* $(,)? }
            => $rres:ident $(<$rlt:lifetime>)? { $($rf:ident: $rt:ty),* $(,)? };
    )*) => {
        $(
            messages!(@one $q; [$(#[$doc])*] $number, $treq $(<$tlt>)? { $($tf: $tt),* });
            messages!(@one $r; [#[doc = concat!("Answers [`", stringify!($treq), "`].")]] $number + 1, $rres $(<$rlt>)? { $($rf: $rt),* });

            impl $(<$tlt>)? Request for $treq $(<$tlt>)? {
                type Reply<$r> = $rres $(<$rlt>)?;
            }
        )*

        /// Any request.
        #[derive(Clone, Copy, Debug)]
        pub enum Tmessage<$q> { $($treq($treq $(<$tlt>)?)),* }

        impl<$q> Tmessage<$q> {
            /// Decodes the body of a request of the given type.
            pub fn decode(kind: u8, body: &$q [u8]) -> Result<Self, DecodeError> {
                match kind {
                    $($number => decode_body(body).map(Self::$treq),)*
                    _ => Err(DecodeError::UnknownType(kind)),
                }
            }

            /// Its type and body again.
            #[cfg(test)]
            fn encode(&self) -> (u8, Vec<u8>) {
                let mut out = Vec::new();
                let mut w = Writer::new(&mut out);
                let kind = match self { $(Self::$treq(m) => { m.put(&mut w); $number }),* };
                (kind, out)
            }
        }

        /// Any response but `Rlerror`.
        #[derive(Clone, Copy, Debug)]
        pub enum Rmessage<$r> { $($rres($rres $(<$rlt>)?)),* }

        impl<$r> Rmessage<$r> {
            /// Decodes the body of a response of the given type.
            pub fn decode(kind: u8, body: &$r [u8]) -> Result<Self, DecodeError> {
                match kind {
                    $(n if n == $number + 1 => decode_body(body).map(Self::$rres),)*
                    _ => Err(DecodeError::UnknownType(kind)),
                }
            }
        }
    };
    (@one $l:lifetime; [$(#[$doc:meta])*] $number:expr, $name:ident $(<$lt:lifetime>)? { $($field:ident: $ty:ty),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name $(<$lt>)? { $(pub $field: $ty),* }

        impl<$l> Wire<$l> for $name $(<$lt>)? {
            fn get(_r: &mut Reader<$l>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Wire::get(_r)?),* })
            }
            fn put(&self, _w: &mut Writer<'_>) {
                $(self.$field.put(_w);)*
            }
        }

        impl $(<$lt>)? Message for $name $(<$lt>)? {
            const TYPE: u8 = $number;
            fn put_body(&self, w: &mut Writer<'_>) {
                self.put(w);
            }
        }
    };
}

/// Decodes a body and insists that nothing follows.
pub fn decode_body<'a, T: Wire<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(body);
    let message = T::get(&mut reader)?;
    reader.finish()?;
    Ok(message)
}

/// The type byte of `Rlerror`.
pub const RLERROR: u8 = 7;

messages! {
    'q 'r;

    /// Attributes of the filesystem that holds a file, statfs(2).
    8 Tstatfs { fid: Fid } => Rstatfs { stat: StatFs };
    /// Opens a fid for input and output.
    12 Tlopen { fid: Fid, flags: OpenFlags } => Rlopen { qid: Qid, iounit: u32 };
    /// Creates a regular file in `fid`, which then stands for the new file, open.
    14 Tlcreate<'q> { fid: Fid, name: Name<'q>, flags: OpenFlags, mode: u32, gid: u32 } => Rlcreate { qid: Qid, iounit: u32 };
    /// symlink(2).
    16 Tsymlink<'q> { dfid: Fid, name: Name<'q>, target: Str<'q>, gid: u32 } => Rsymlink { qid: Qid };
    /// mknod(2).
    18 Tmknod<'q> { dfid: Fid, name: Name<'q>, mode: u32, rdev: Device, gid: u32 } => Rmknod { qid: Qid };
    /// Moves the file of a fid; servers that hold no names refuse it, clients then use `Trenameat`.
    20 Trename<'q> { fid: Fid, dfid: Fid, name: Name<'q> } => Rrename {};
    /// readlink(2).
    22 Treadlink { fid: Fid } => Rreadlink<'r> { target: Str<'r> };
    /// stat(2).
    24 Tgetattr { fid: Fid, mask: AttrMask } => Rgetattr { attr: Attr };
    /// chmod(2), chown(2), truncate(2) and utimensat(2) in one.
    26 Tsetattr { fid: Fid, attr: SetAttr } => Rsetattr {};
    /// Makes `newfid` stand for the value of an extended attribute, or for the list of names if `name` is empty.
    30 Txattrwalk<'q> { fid: Fid, newfid: Fid, name: Str<'q> } => Rxattrwalk { size: u64 };
    /// Makes `fid` stand for an extended attribute; what is written to it is set by `Tclunk`.
    32 Txattrcreate<'q> { fid: Fid, name: Str<'q>, size: u64, flags: u32 } => Rxattrcreate {};
    /// getdents(2); the data is a sequence of [`crate::dirent::Dirent`].
    40 Treaddir { fid: Fid, offset: u64, count: u32 } => Rreaddir<'r> { data: Blob<'r> };
    /// fsync(2), or fdatasync(2) if `datasync` is not zero.
    50 Tfsync { fid: Fid, datasync: OrZero } => Rfsync {};
    /// fcntl(2) `F_SETLK`.
    52 Tlock<'q> { fid: Fid, kind: u8, flags: u32, start: u64, length: u64, proc_id: u32, client_id: Str<'q> } => Rlock { status: u8 };
    /// fcntl(2) `F_GETLK`.
    54 Tgetlock<'q> { fid: Fid, kind: u8, start: u64, length: u64, proc_id: u32, client_id: Str<'q> }
        => Rgetlock<'r> { kind: u8, start: u64, length: u64, proc_id: u32, client_id: Str<'r> };
    /// link(2).
    70 Tlink<'q> { dfid: Fid, fid: Fid, name: Name<'q> } => Rlink {};
    /// mkdir(2).
    72 Tmkdir<'q> { dfid: Fid, name: Name<'q>, mode: u32, gid: u32 } => Rmkdir { qid: Qid };
    /// renameat(2).
    74 Trenameat<'q> { olddir: Fid, oldname: Name<'q>, newdir: Fid, newname: Name<'q> } => Rrenameat {};
    /// unlinkat(2).
    76 Tunlinkat<'q> { dfid: Fid, name: Name<'q>, flags: UnlinkFlags } => Runlinkat {};
    /// Opens the session and names its dialect and largest message.
    100 Tversion<'q> { msize: u32, version: Str<'q> } => Rversion<'r> { msize: u32, version: Str<'r> };
    /// Authentication, which a connection made by the CLI does not need.
    102 Tauth<'q> { afid: Fid, uname: Str<'q>, aname: Str<'q>, uid: u32 } => Rauth { qid: Qid };
    /// Makes `fid` stand for the root of the exported tree.
    104 Tattach<'q> { fid: Fid, afid: Fid, uname: Str<'q>, aname: Str<'q>, uid: u32 } => Rattach { qid: Qid };
    /// Gives up on an earlier request.
    108 Tflush { oldtag: Tag } => Rflush {};
    /// Walks down; all names must be found for `newfid` to be made.
    110 Twalk<'q> { fid: Fid, newfid: Fid, names: List<'q, Name<'q>> } => Rwalk<'r> { qids: List<'r, Qid> };
    /// pread(2).
    116 Tread { fid: Fid, offset: u64, count: u32 } => Rread<'r> { data: Blob<'r> };
    /// pwrite(2).
    118 Twrite<'q> { fid: Fid, offset: u64, data: Blob<'q> } => Rwrite { count: u32 };
    /// Forgets a fid.
    120 Tclunk { fid: Fid } => Rclunk {};
    /// Removes the file of a fid and forgets the fid; servers that hold no names refuse it.
    122 Tremove { fid: Fid } => Rremove {};

    /// Walks down and tells the attributes of every step, up to the first that is absent or cannot be passed.
    128 Twalkattr<'q> { fid: Fid, steps: List<'q, Step<'q>> } => Rwalkattr<'r> { stopped: u32, found: List<'r, Found<'r>> };
    /// statx(2).
    130 Tstatx { fid: Fid } => Rstatx { stat: Stat };
    /// As `Tsetattr`; tells the attributes after it.
    132 Tsetstat { fid: Fid, attr: SetAttr } => Rsetstat { stat: Stat };
    /// Opens a regular file and attaches the host's descriptor to the response.
    134 Tdonate { fid: Fid, flags: OpenFlags } => Rdonate {};
    /// Creates a regular file, which must not exist; `newfid` stands for it, and the response carries a descriptor
    /// opened for reading and writing.
    136 Tcreatex<'q> { dfid: Fid, newfid: Fid, name: Name<'q>, mode: u32, uid: u32, gid: u32 } => Rcreatex { stat: Stat };
    /// mkdir, mknod and symlink in one: the type bits of `mode` tell which; `newfid` stands for the new file.
    138 Tmake<'q> { dfid: Fid, newfid: Fid, name: Name<'q>, mode: u32, rdev: Device, uid: u32, gid: u32, target: Str<'q> } => Rmake { stat: Stat };
    /// getdents(2) of a fid that need not be open; the data is a sequence of [`crate::dirent::DirentStat`]. An offset
    /// of zero starts anew. `end` is 1 if nothing follows. Directories come with their attributes, other files only
    /// where there are no more than `stats` of them in one read of the directory.
    140 Tlistdir { fid: Fid, offset: u64, count: u32, stats: u32 } => Rlistdir<'r> { end: u8, data: Blob<'r> };
    /// renameat2(2).
    142 Trename2<'q> { olddir: Fid, oldname: Name<'q>, newdir: Fid, newname: Name<'q>, flags: RenameFlags } => Rrename2 {};
    /// fallocate(2), for clients without a descriptor.
    144 Tallocate { fid: Fid, mode: AllocateMode, offset: u64, length: u64 } => Rallocate {};
    /// Forgets several fids; unknown ones are passed over.
    146 Tforget<'q> { fids: List<'q, Fid> } => Rforget {};
    /// getxattr(2).
    148 Tgetxattr<'q> { fid: Fid, name: Str<'q> } => Rgetxattr<'r> { value: Blob<'r> };
    /// listxattr(2): names, each followed by a NUL.
    150 Tlistxattr { fid: Fid } => Rlistxattr<'r> { names: Blob<'r> };
    /// setxattr(2).
    152 Tsetxattr<'q> { fid: Fid, name: Str<'q>, value: Blob<'q>, flags: u32 } => Rsetxattr {};
    /// removexattr(2).
    154 Tremovexattr<'q> { fid: Fid, name: Str<'q> } => Rremovexattr {};
    /// As `Tcreatex`, for a file without a name, which `Tlink` may give it: open(2) with O_TMPFILE.
    156 Ttmpfile { dfid: Fid, newfid: Fid, mode: u32, uid: u32, gid: u32 } => Rtmpfile { stat: Stat };
    /// On which CPU the client asks from now on, so that the server may run there; all bits set for none in particular.
    158 Tfollow { cpu: u32 } => Rfollow {};
}

/// One step of [`Twalkattr`].
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What the step's file is called from now on; [`Fid::NONE`] for attributes alone.
    pub newfid: Fid,
    /// The name in the directory reached so far.
    pub name: Name<'a>,
}

impl<'a> Wire<'a> for Step<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { newfid: Wire::get(r)?, name: Wire::get(r)? })
    }
    fn put(&self, w: &mut Writer<'_>) {
        self.newfid.put(w);
        self.name.put(w);
    }
}

/// What one step of [`Twalkattr`] found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The attributes.
    pub stat: Stat,
    /// The target, if it is a symbolic link.
    pub target: Str<'a>,
}

impl<'a> Wire<'a> for Found<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { stat: Wire::get(r)?, target: Wire::get(r)? })
    }
    fn put(&self, w: &mut Writer<'_>) {
        self.stat.put(w);
        self.target.put(w);
    }
}

/// The body of `Rlerror`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlerror {
    /// A Linux errno.
    pub ecode: u32,
}

wire_struct!(Rlerror { ecode });

impl Message for Rlerror {
    const TYPE: u8 = RLERROR;
    fn put_body(&self, w: &mut Writer<'_>) {
        self.put(w);
    }
}

#[cfg(test)]
mod tests;
