//! System V shared memory: shmget(2), shmop(2), shmctl(2).
//!
//! A [`Segment`] is a row of the table, its [`Memory`] what is mapped. Whether somebody has it attached is what the mappings
//! say. A segment that was removed gives its memory back when the last one lets go, and its row when the table is next looked at:
//! the last mapping may go while locks are held under which the table must not be locked.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use abi::capability::Cap;
use abi::fcntl::OpenFlags;
use abi::ipc::{IPC_PRIVATE, SHM_DEST, SHM_HUGETLB, SHM_LOCKED, SHMLBA, SHMMIN, ShmInfo, ShmatFlags, ShmidDs, Shminfo};
use abi::resource::Resource;
use abi::{Errno, PAGE_SIZE, UserAddr};
use platform::Prot;
use sync::Mutex;

use super::perm::{Perm, READ, WRITE};
use super::settings::Settings;
use super::{IpcSpace, seconds};
use crate::error::{Result, err};
use crate::lock_order::{InodeData, IpcObject};
use crate::mm::{MapRequest, MapSource, Mappable, Mappings, Placement, SharedMemory, Translation, VmaFlags};
use crate::task::{CurrentTask, Pid, here};
use crate::vfs::{File, FileOps};

/// A segment.
#[derive(Debug)]
pub struct Segment {
    id: i32,
    state: Mutex<State, IpcObject>,
    memory: Arc<Memory>,
    /// What /proc/PID/maps shows.
    file: Arc<File>,
}

#[derive(Debug)]
struct State {
    perm: Perm,
    changed: i64,
    maker: Arc<Pid>,
    locked: bool,
}

/// The memory of a segment, as something that can be mapped.
#[derive(Debug)]
struct Memory {
    size: u64,
    pages: Mutex<Option<Arc<SharedMemory>>, InodeData>,
    mappings: Mappings,
    removed: AtomicBool,
    attached: AtomicI64,
    detached: AtomicI64,
    /// Who attached or detached last.
    last: Mutex<Option<Arc<Pid>>, InodeData>,
    settings: Arc<Settings>,
}

/// What a segment's entry in /proc/PID/maps is open as; nobody has a descriptor of it.
#[derive(Debug)]
struct SegmentFile;

impl FileOps for SegmentFile {
    fn sync(&self, _: &File, _: bool) -> Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl IpcSpace {
    /// shmget(2).
    pub fn shmget(&self, task: &CurrentTask, key: i32, size: u64, flags: u32) -> Result<i32> {
        self.sweep_segments();
        let admits = |segment: &Segment| {
            if size > segment.memory.size {
                return err(Errno::EINVAL);
            }
            segment.state.lock().perm.check(task, flags)
        };
        let limits = &self.settings;
        self.shm.get_or_make(key, flags, limits.shmmni.get(), admits, |id, used| {
            if size < SHMMIN || size > limits.shmmax.get() {
                return err(Errno::EINVAL);
            }
            if flags & SHM_HUGETLB != 0 {
                return err(if task.creds().has(Cap::CAP_IPC_LOCK) { Errno::ENOMEM } else { Errno::EPERM });
            }
            let len = size.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::EINVAL)?;
            if used.saturating_add(len / PAGE_SIZE) > limits.shmall.get() {
                return err(Errno::ENOSPC);
            }
            let memory = Arc::new(Memory {
                size,
                pages: Mutex::new(Some(SharedMemory::new(&task.kernel().memfile, len)?)),
                mappings: Mappings::default(),
                removed: AtomicBool::new(false),
                attached: AtomicI64::new(0),
                detached: AtomicI64::new(0),
                last: Mutex::new(None),
                settings: Arc::clone(limits),
            });
            let name = format!("/SYSV{key:08x} (deleted)");
            let state = State {
                perm: Perm::new(task, key, flags),
                changed: seconds(),
                maker: Arc::clone(task.group().pid()),
                locked: false,
            };
            let segment = Segment {
                id,
                state: Mutex::new(state),
                memory,
                file: File::new_anonymous(Arc::new(SegmentFile), &name, OpenFlags::O_RDWR),
            };
            Ok((Arc::new(segment), len / PAGE_SIZE))
        })
    }

    /// The segment with this number.
    pub fn segment(&self, id: i32) -> Result<Arc<Segment>> {
        self.sweep_segments();
        self.shm.get(id)
    }

    /// SHM_STAT: the segment at an index.
    pub fn segment_at(&self, index: i32) -> Result<Arc<Segment>> {
        self.sweep_segments();
        Ok(self.shm.at(index)?.1)
    }

    /// IPC_INFO, and the highest index.
    #[must_use]
    pub fn segment_limits(&self) -> (Shminfo, i32) {
        let limits = &self.settings;
        let info = Shminfo {
            shmmax: limits.shmmax.get(),
            shmmin: SHMMIN,
            shmmni: limits.shmmni.get(),
            shmseg: limits.shmmni.get(),
            shmall: limits.shmall.get(),
            ..Shminfo::default()
        };
        (info, self.shm.highest())
    }

    /// SHM_INFO, and the highest index.
    #[must_use]
    pub fn segment_info(&self) -> (ShmInfo, i32) {
        self.sweep_segments();
        let all = self.shm.all();
        let pages: u64 = all.iter().map(|(_, segment)| segment.pages()).sum();
        let used_ids = i32::try_from(all.len()).unwrap_or(i32::MAX);
        (ShmInfo { used_ids, shm_tot: pages, shm_rss: pages, ..ShmInfo::default() }, self.shm.highest())
    }

    /// IPC_RMID: nobody finds it by its key any more, and it goes with the last who has it attached.
    pub fn remove_segment(&self, task: &CurrentTask, id: i32) -> Result<()> {
        let segment = self.shm.get(id)?;
        {
            let mut state = segment.state.lock();
            state.perm.check_owner(task)?;
            state.perm.key = IPC_PRIVATE;
        }
        self.shm.forget_key(id);
        segment.memory.removed.store(true, Ordering::SeqCst);
        segment.memory.give_back();
        self.sweep_segments();
        Ok(())
    }

    /// Takes segments off the table that were removed and that nobody has attached.
    fn sweep_segments(&self) {
        for (id, segment) in self.shm.all() {
            if segment.memory.is_gone() {
                self.shm.remove(id);
            }
        }
    }

    pub(super) fn segments(&self) -> Vec<(i32, Arc<Segment>)> {
        self.sweep_segments();
        self.shm.all()
    }
}

impl Segment {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    fn pages(&self) -> u64 {
        self.memory.size.div_ceil(PAGE_SIZE)
    }

    /// shmat(2). Returns where it is.
    pub fn attach(&self, task: &CurrentTask, addr: UserAddr, flags: ShmatFlags) -> Result<UserAddr> {
        let remap = flags.contains(ShmatFlags::SHM_REMAP);
        let mut at = addr;
        if !at.is_null() && !at.0.is_multiple_of(SHMLBA) {
            if !flags.contains(ShmatFlags::SHM_RND) {
                return err(Errno::EINVAL);
            }
            at = UserAddr(at.0 - at.0 % SHMLBA);
            if at.is_null() && remap {
                return err(Errno::EINVAL);
            }
        } else if at.is_null() && remap {
            return err(Errno::EINVAL);
        }
        let (write, exec) = (!flags.contains(ShmatFlags::SHM_RDONLY), flags.contains(ShmatFlags::SHM_EXEC));
        let want = READ | if write { WRITE } else { 0 } | if exec { 0o111 } else { 0 };
        self.state.lock().perm.check(task, want)?;
        let placement = match (at.is_null(), remap) {
            (true, _) => Placement::Hint,
            (false, true) => Placement::Fixed,
            (false, false) => Placement::FixedNoReplace,
        };
        if self.memory.is_gone() {
            return err(Errno::EIDRM);
        }
        let all = Prot { read: true, write, exec: true };
        let request = MapRequest {
            placement,
            max: all,
            flags: VmaFlags::SHARED,
            source: MapSource::Object {
                object: Arc::clone(&self.memory) as Arc<dyn Mappable>,
                file: Some(Arc::clone(&self.file)),
                offset: 0,
            },
            addr: at,
            ..MapRequest::anonymous(self.memory.size, Prot { read: true, write, exec })
        };
        let place = task.mm().map(request).map_err(|e| match e.errno() {
            // It is taken.
            Errno::EEXIST | Errno::EPERM => Errno::EINVAL.into(),
            _ => e,
        })?;
        self.memory.attached.store(seconds(), Ordering::Relaxed);
        *self.memory.last.lock() = Some(Arc::clone(task.group().pid()));
        Ok(place)
    }

    /// IPC_STAT; without `any` for those who may read it.
    pub fn stat(&self, task: &CurrentTask, any: bool) -> Result<ShmidDs> {
        let state = self.state.lock();
        if !any {
            state.perm.check(task, READ)?;
        }
        let pid = |pid: &Arc<Pid>| pid.number_in(task.pid_ns());
        let mut perm = state.perm.show(task, self.id);
        if self.memory.removed.load(Ordering::SeqCst) {
            perm.mode |= SHM_DEST;
        }
        if state.locked {
            perm.mode |= SHM_LOCKED;
        }
        Ok(ShmidDs {
            shm_perm: perm,
            shm_segsz: self.memory.size,
            shm_atime: self.memory.attached.load(Ordering::Relaxed),
            shm_dtime: self.memory.detached.load(Ordering::Relaxed),
            shm_ctime: state.changed,
            shm_cpid: pid(&state.maker),
            shm_lpid: self.memory.last.lock().as_ref().map_or(0, pid),
            shm_nattch: self.memory.mappings.count(),
            ..ShmidDs::default()
        })
    }

    /// IPC_SET.
    pub fn set(&self, task: &CurrentTask, new: &ShmidDs) -> Result<()> {
        let mut state = self.state.lock();
        state.perm.check_owner(task)?;
        state.perm.set(task, &new.shm_perm)?;
        state.changed = seconds();
        Ok(())
    }

    /// SHM_LOCK, SHM_UNLOCK. Memory is the host's to swap; what is asked for is kept.
    pub fn lock(&self, task: &CurrentTask, lock: bool) -> Result<()> {
        let mut state = self.state.lock();
        if !task.creds().has_in(Cap::CAP_IPC_LOCK, &task.namespaces().ipc.user_ns) {
            if !state.perm.is_owner(task) {
                return err(Errno::EPERM);
            }
            let limit = task.group().limits().soft(Resource::RLIMIT_MEMLOCK);
            if lock && limit == 0 {
                return err(Errno::EPERM);
            }
            if lock && self.memory.size > limit {
                return err(Errno::ENOMEM);
            }
        }
        state.locked = lock;
        Ok(())
    }
}

impl CurrentTask {
    /// shmdt(2).
    pub fn detach_segment(&self, addr: UserAddr) -> Result<()> {
        if !addr.0.is_multiple_of(SHMLBA) {
            return err(Errno::EINVAL);
        }
        self.mm().unmap_segment(addr)
    }
}

impl Memory {
    fn is_gone(&self) -> bool {
        self.removed.load(Ordering::SeqCst) && self.mappings.count() == 0
    }

    /// Gives the pages back if nobody needs them.
    fn give_back(&self) {
        if self.is_gone() {
            let pages = self.pages.lock().take();
            drop(pages);
        }
    }
}

impl Mappable for Memory {
    fn translate(&self, offset: u64, len: u64, write: bool) -> Result<Translation> {
        let pages = self.pages.lock().clone();
        pages.ok_or(Errno::EFAULT)?.translate(offset, len, write)
    }

    fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    fn segment_len(&self) -> Option<u64> {
        Some(self.size)
    }

    fn unmapped(&self) {
        self.detached.store(seconds(), Ordering::Relaxed);
        if let Some(task) = here::task() {
            *self.last.lock() = Some(Arc::clone(task.group().pid()));
        }
        if self.settings.shm_rmid_forced.get() != 0 && self.mappings.count() == 0 {
            self.removed.store(true, Ordering::SeqCst);
        }
        self.give_back();
    }
}
