//! The lock order of the kernel: one list, lowest first. A thread takes locks downwards only; debug builds check it.
//!
//! A new lock gets a line here, between what may be held when it is taken and what may be taken under it.

use sync::Level;

macro_rules! lock_order {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {
        #[repr(u16)]
        enum Rank { $($name),* }
        $(
            $(#[doc = $doc])*
            #[derive(Debug)]
            pub struct $name;
            impl Level for $name {
                const NAME: &'static str = stringify!($name);
                const RANK: u16 = Rank::$name as u16;
            }
        )*
    };
}

lock_order! {
    /// Which epoll may watch which (`fs::epoll::nesting`): held over EPOLL_CTL_ADD of an epoll.
    EpollNesting,
    /// Containers of the sandbox and what they run (`kernel`).
    Containers,
    /// One file description's offset: held over read and write, as on Linux (`vfs::file`).
    FilePos,
    /// Renames of one file system (`vfs`): held over both directories.
    Rename,
    /// What is mounted where, in one mount namespace (`vfs::mount`).
    Mounts,
    /// One directory: held over calls of its file system that look up or change names in it (`vfs::dentry`); two of them
    /// parent before child.
    Dentry,
    /// A pipe's buffer; two pipes are ordered by address. Held by splice(2) over the other file's read or write (`fs::pipe`).
    Pipe,
    /// State of an overlay inode: copy-up (`fs::overlay`).
    Overlay,
    /// Writers and truncation of one regular file, as `i_rwsem`: held while data is copied from application memory.
    InodeIo,
    /// epoll's interest list (`fs::epoll`); never two at once.
    Epoll,
    /// The protocol engine of packets that leave the sandbox (`net::inet::gate`).
    Gate,
    /// A socket's state (`net`); two sockets are ordered by address.
    Socket,
    /// What waits to be received on a socket (`net`).
    SocketQueue,
    /// A terminal's line discipline and its queues (`fs::tty`).
    Tty,
    /// SysV and POSIX IPC registries (`ipc`).
    Ipc,
    /// One segment, semaphore set or queue (`ipc`).
    IpcObject,
    /// Futex buckets (`futex`). Owners of PI futexes are looked up, and words in memory read, under it.
    Futex,
    /// The process tree: thread groups, process groups, sessions, parents and children (`task::tree`).
    Tree,
    /// One process's place in the tree, readable without the tree's lock: parent, process group, zombie state (`task::group`).
    TreeLinks,
    /// The numbers of a pid namespace (`task::pid`).
    Pids,
    /// What one process number is used for (`task::pid`).
    PidUses,
    /// Shared pending signals, threads, stop and exit of a thread group (`task::signal`).
    Signal,
    /// Signal actions, shared by tasks cloned with CLONE_SIGHAND (`task::signal`).
    SigHand,
    /// A task's own pending signals (`task::signal`).
    SigPending,
    /// Whom a process traces (`task::ptrace`).
    Tracees,
    /// One tracee: its tracer, its stop (`task::ptrace`).
    Ptrace,
    /// The threads of a process, and whether it is dying or in execve (`task::group`).
    Threads,
    /// A task's own fields that other tasks may read: credentials, name, namespaces (`task`).
    Task,
    /// Working directory, root and umask (`vfs::fs_context`).
    FsContext,
    /// A table of open files (`vfs::fd_table`).
    FdTable,
    /// The address space: VMAs (`mm`).
    Mm,
    /// The state of an inode: size, attributes, data of memory file systems. Taken under Mm by page faults (`fs`).
    Inode,
    /// Data structures inside an inode or a file: pipe buffers, queues, caches of attributes (`fs`).
    InodeData,
    /// Who has mapped an inode (`mm::mappings`).
    Mappings,
    /// Free ranges and reference counts of the memory file (`mm::memfile`).
    MemFile,
    /// Advisory locks of a file (`vfs::locks`), and other attachments of an inode.
    FileLocks,
    /// The cached names of one directory (`vfs::dentry`). File systems are not called under it.
    Names,
    /// Where a dentry is: its parent and its name (`vfs::dentry`).
    Place,
    /// Parent and children of one mount (`vfs::mount`).
    MountLinks,
    /// The list of a process's timers (`time`).
    GroupTimers,
    /// One timer (`time`).
    Timers,
    /// The timer wheel of the sandbox (`time`).
    TimerQueue,
    /// A connection to a gofer (`fs::gofer`).
    Gofer,
    /// Watches of an inotify instance (`fs::inotify`).
    InotifyWatches,
    /// Events of an inotify instance: taken by the VFS's events, whatever it holds (`fs::inotify`).
    InotifyQueue,
    /// The text of an open procfs file (`fs::pseudo`).
    PseudoText,
    /// epoll's list of ready items: taken by wake-ups, whatever their source holds (`fs::epoll`).
    EpollReady,
    /// Session and foreground process group of a terminal (`fs::tty`).
    TtyControl,
    /// Small tables that call nothing: host names, counters, registries.
    Leaf,
    /// Jobs for the thread that does what others must not do with their locks held (`kernel::deferred`).
    Deferred,
}
