//! The state of a connection, and which handler answers which request.

use std::os::fd::OwnedFd;

use abi::Errno;
use ninep::message::{Rflush, Rversion, Tmessage, Tversion};
use ninep::transport::Frame;
use ninep::version::{MIN_MSIZE, UNKNOWN};
use ninep::{Dialect, Qid, Stat, Str};
use nix::fcntl::OFlag;

use crate::export::Export;
use crate::fd_dir::FdDir;
use crate::fids::Fids;
use crate::node::{self, Node};
use crate::reply::Reply;

/// The largest message a client may ask for.
pub(crate) const MAX_MSIZE: usize = 1 << 20;

/// The largest message before a size is settled.
const INITIAL_MSIZE: usize = 8 << 10;

/// What a connection has come to.
#[derive(Debug)]
pub(crate) struct Session<'s> {
    pub(crate) export: &'s Export,
    pub(crate) fd_dir: &'s FdDir,
    pub(crate) fids: Fids,
    /// Who creates files in the plain dialect; `None` is the gofer itself.
    pub(crate) uid: Option<u32>,
    /// For data on its way from the host into an answer.
    pub(crate) scratch: Vec<u8>,
    dialect: Option<Dialect>,
    msize: usize,
}

impl<'s> Session<'s> {
    pub(crate) fn new(export: &'s Export, fd_dir: &'s FdDir) -> Self {
        let fids = Fids::new(export.max_fids);
        Self { export, fd_dir, fids, uid: None, scratch: Vec::new(), dialect: None, msize: INITIAL_MSIZE }
    }

    pub(crate) fn msize(&self) -> usize {
        self.msize
    }

    /// Answers one request.
    pub(crate) fn answer(&mut self, frame: Frame<'_>, reply: &mut Reply<'_>) {
        let result = match Tmessage::decode(frame.kind, frame.body) {
            Ok(request) => {
                let result = self.dispatch(&request, reply);
                tracing::trace!(tag = frame.tag.0, ?request, ?result);
                result
            }
            Err(error) => {
                tracing::debug!(kind = frame.kind, %error, "request refused");
                Err(error.errno())
            }
        };
        if let Err(errno) = result {
            reply.fail(errno);
        }
    }

    fn dispatch(&mut self, request: &Tmessage<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        use Tmessage as T;
        match (self.dialect, request) {
            (_, T::Tversion(ask)) => return self.version(ask, reply),
            (None, _) => return Err(Errno::EPROTO),
            (Some(Dialect::Plain | Dialect::Extended), _) => {}
        }
        match request {
            // Handled above.
            T::Tversion(_) => Err(Errno::EPROTO),
            T::Tauth(ask) => self.auth(ask),
            T::Tattach(ask) => self.attach(ask, reply),
            // Requests are answered in order: the one to be given up already has its answer.
            T::Tflush(_) => reply.send(&Rflush {}),
            T::Twalk(ask) => self.walk(ask, reply),
            T::Tclunk(ask) => self.clunk(ask, reply),
            T::Tremove(ask) => self.remove(ask),
            T::Tstatfs(ask) => self.statfs(ask, reply),
            T::Tgetattr(ask) => self.getattr(ask, reply),
            T::Tsetattr(ask) => self.setattr(ask, reply),
            T::Treadlink(ask) => self.readlink(ask, reply),
            T::Tlopen(ask) => self.lopen(ask, reply),
            T::Tlcreate(ask) => self.lcreate(ask, reply),
            T::Tread(ask) => self.read(ask, reply),
            T::Twrite(ask) => self.write(ask, reply),
            T::Tfsync(ask) => self.fsync(ask, reply),
            T::Treaddir(ask) => self.readdir(ask, reply),
            T::Tsymlink(ask) => self.symlink(ask, reply),
            T::Tmknod(ask) => self.mknod(ask, reply),
            T::Tmkdir(ask) => self.mkdir(ask, reply),
            T::Tlink(ask) => self.link(ask, reply),
            T::Trename(_) => Err(Errno::EOPNOTSUPP),
            T::Trenameat(ask) => self.renameat(ask, reply),
            T::Tunlinkat(ask) => self.unlinkat(ask, reply),
            T::Txattrwalk(ask) => self.xattrwalk(ask, reply),
            T::Txattrcreate(ask) => self.xattrcreate(ask, reply),
            T::Tlock(ask) => self.lock(ask, reply),
            T::Tgetlock(ask) => self.getlock(ask, reply),
            extended if self.dialect == Some(Dialect::Extended) => self.dispatch_extended(extended, reply),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    fn dispatch_extended(&mut self, request: &Tmessage<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        use Tmessage as T;
        match request {
            T::Twalkattr(ask) => self.walkattr(ask, reply),
            T::Tstatx(ask) => self.statx(ask, reply),
            T::Tsetstat(ask) => self.setstat(ask, reply),
            T::Tdonate(ask) => self.donate(ask, reply),
            T::Tcreatex(ask) => self.createx(ask, reply),
            T::Tmake(ask) => self.make(ask, reply),
            T::Ttmpfile(ask) => self.tmpfile(ask, reply),
            T::Tlistdir(ask) => self.listdir(ask, reply),
            T::Trename2(ask) => self.rename2(ask, reply),
            T::Tallocate(ask) => self.allocate(ask, reply),
            T::Tforget(ask) => self.forget(ask, reply),
            T::Tfollow(ask) => self.follow(ask, reply),
            T::Tgetxattr(ask) => self.getxattr(ask, reply),
            T::Tlistxattr(ask) => self.listxattr(ask, reply),
            T::Tsetxattr(ask) => self.setxattr(ask, reply),
            T::Tremovexattr(ask) => self.removexattr(ask, reply),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Begins the session, anew if there was one: all fids are forgotten.
    fn version(&mut self, ask: &Tversion<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        self.fids.clear();
        self.dialect = Dialect::offered(ask.version);
        let msize = usize::try_from(ask.msize).unwrap_or(MAX_MSIZE).min(MAX_MSIZE);
        let version = match self.dialect {
            Some(_) if ask.msize < MIN_MSIZE => return Err(Errno::EMSGSIZE),
            Some(dialect) => dialect.version(),
            None => UNKNOWN,
        };
        if self.dialect.is_some() {
            self.msize = msize;
        }
        let msize = u32::try_from(msize).map_err(|_| Errno::EMSGSIZE)?;
        reply.send(&Rversion { msize, version: Str(version.as_bytes()) })
    }

    /// Fails if the tree may not be changed.
    pub(crate) fn writable(&self) -> Result<(), Errno> {
        if self.export.read_only { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// The plain dialect's identity of a file.
    pub(crate) fn qid(&self, stat: &Stat) -> Qid {
        node::qid(stat, self.export.root.dev())
    }

    /// Opens a regular file or directory for what an `O_PATH` descriptor cannot do.
    pub(crate) fn reopen(&self, node: &Node, flags: OFlag) -> Result<OwnedFd, Errno> {
        use abi::stat::FileType;
        match node.kind() {
            FileType::Directory => match node.open_dir(flags) {
                // That asks for leave to search it, which this does not.
                Err(Errno::EACCES) => self.fd_dir.reopen(node.fd(), flags),
                other => other,
            },
            FileType::Regular => self.fd_dir.reopen(node.fd(), flags),
            FileType::Symlink => Err(Errno::ELOOP),
            _ => Err(Errno::ENXIO),
        }
    }
}
