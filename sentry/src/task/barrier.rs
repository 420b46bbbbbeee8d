//! Memory barriers over all threads of a process, or of all (membarrier(2)): each is stopped once, which orders its accesses.

use std::sync::Arc;
use std::time::Duration;

use abi::membarrier::MembarrierCmd;

use super::signal::Attention;
use super::{CurrentTask, Task, ThreadGroup};

impl ThreadGroup {
    /// Allows a kind of barrier from now on.
    pub fn register_barriers(&self, command: MembarrierCmd) {
        self.barriers.fetch_or(command.bits(), std::sync::atomic::Ordering::SeqCst);
    }

    /// The kinds that were registered.
    #[must_use]
    pub fn barriers(&self) -> MembarrierCmd {
        MembarrierCmd::from_bits_retain(self.barriers.load(std::sync::atomic::Ordering::SeqCst))
    }
}

impl CurrentTask {
    /// Returns once every other thread of the process that was running application code has left it. The way in and out
    /// of the kernel orders the memory accesses of a thread.
    pub fn interrupt_siblings(&self) {
        self.interrupt(self.group().threads());
    }

    /// The same for every process of the sandbox; with `registered` for those that asked to be reached
    /// (MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED).
    pub fn interrupt_everybody(&self, registered: bool) {
        let asked = |group: &Arc<ThreadGroup>| {
            !registered || group.barriers().contains(MembarrierCmd::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)
        };
        let groups = self.kernel().root_pid_ns.groups();
        self.interrupt(groups.iter().filter(|group| asked(group)).flat_map(|group| group.threads()).collect());
    }

    fn interrupt(&self, threads: Vec<Arc<Task>>) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let running: Vec<_> =
            threads.into_iter().filter(|other| !Arc::ptr_eq(other, self) && other.attention().in_app()).collect();
        for other in &running {
            other.attention().raise(Attention::WORK);
        }
        for other in running {
            // It clears the bit when it looks after its work.
            while other.attention().in_app() && other.attention().has(Attention::WORK) {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "there is nobody to be woken by: the wait is a few microseconds"
                )]
                std::thread::sleep(Duration::from_micros(20));
            }
        }
    }
}
