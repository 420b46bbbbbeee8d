//! The text of /proc/sysvipc.

use std::fmt::Write;

use super::IpcSpace;
use crate::task::CurrentTask;

impl IpcSpace {
    /// /proc/sysvipc/shm.
    #[must_use]
    pub fn shm_text(&self, task: &CurrentTask) -> String {
        let mut out = String::from(
            "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n",
        );
        for (id, segment) in self.segments() {
            let Ok(s) = segment.stat(task, true) else { continue };
            let p = &s.shm_perm;
            let _ = writeln!(
                out,
                "{:>10} {id:>10}  {:>4o} {:>21} {:>5} {:>5}  {:>5} {:>5} {:>5} {:>5} {:>5} {:>10} {:>10} {:>10} {:>21} {:>21}",
                p.key,
                p.mode,
                s.shm_segsz,
                s.shm_cpid,
                s.shm_lpid,
                s.shm_nattch,
                p.uid,
                p.gid,
                p.cuid,
                p.cgid,
                s.shm_atime,
                s.shm_dtime,
                s.shm_ctime,
                s.shm_segsz.next_multiple_of(abi::PAGE_SIZE),
                0,
            );
        }
        out
    }

    /// /proc/sysvipc/sem.
    #[must_use]
    pub fn sem_text(&self, task: &CurrentTask) -> String {
        let mut out =
            String::from("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
        for (id, set) in self.semaphore_sets() {
            let Ok(s) = set.stat(task, true) else { continue };
            let p = &s.sem_perm;
            let _ = writeln!(
                out,
                "{:>10} {id:>10}  {:>4o} {:>10} {:>5} {:>5} {:>5} {:>5} {:>10} {:>10}",
                p.key, p.mode, s.sem_nsems, p.uid, p.gid, p.cuid, p.cgid, s.sem_otime, s.sem_ctime,
            );
        }
        out
    }

    /// /proc/sysvipc/msg.
    #[must_use]
    pub fn msg_text(&self, task: &CurrentTask) -> String {
        let mut out = String::from(
            "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n",
        );
        for (id, queue) in self.message_queues() {
            let Ok(s) = queue.stat(task, true) else { continue };
            let p = &s.msg_perm;
            let _ = writeln!(
                out,
                "{:>10} {id:>10}  {:>4o}  {:>10} {:>10} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>10} {:>10} {:>10}",
                p.key,
                p.mode,
                s.msg_cbytes,
                s.msg_qnum,
                s.msg_lspid,
                s.msg_lrpid,
                p.uid,
                p.gid,
                p.cuid,
                p.cgid,
                s.msg_stime,
                s.msg_rtime,
                s.msg_ctime,
            );
        }
        out
    }
}
