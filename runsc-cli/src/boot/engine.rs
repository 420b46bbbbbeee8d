//! What the control socket needs of the kernel.

use std::fmt::Debug;
use std::os::fd::OwnedFd;

use control::spec::Limits;
use control::wire::Donated;
use control::{
    ContainerSpec, ContainerStats, ExitStatus, Failure, LinkSpec, ProcessInfo, ProcessSpec, SignalTarget, Status,
};

/// A kernel with containers. Calls may come from any thread; those that wait block it.
pub(crate) trait Engine: Debug + Send + Sync {
    /// Builds a container and loads its program, without running it.
    fn create(&self, container: ContainerSpec, files: Donated) -> Result<(), Failure>;

    /// Takes over a network device.
    fn attach(&self, link: &LinkSpec, wire: OwnedFd, name_server: Vec<OwnedFd>) -> Result<(), Failure>;

    /// Runs the program of a created container.
    fn start(&self, id: &str) -> Result<(), Failure>;

    /// Sends a signal.
    fn signal(&self, id: &str, target: SignalTarget, signal: u8) -> Result<(), Failure>;

    /// Waits for the end of a process, the first one of the container if `pid` is absent.
    fn wait(&self, id: &str, pid: Option<u32>) -> Result<ExitStatus, Failure>;

    /// Starts another process and returns its pid in the container.
    fn exec(&self, id: &str, process: ProcessSpec, files: Donated) -> Result<u32, Failure>;

    /// Where a container is in its life.
    fn status(&self, id: &str) -> Result<Status, Failure>;

    /// The processes of a container.
    fn processes(&self, id: &str) -> Result<Vec<ProcessInfo>, Failure>;

    /// Stops all tasks of a container, or lets them go on.
    fn set_paused(&self, id: &str, paused: bool) -> Result<(), Failure>;

    /// Changes what a container is limited to.
    fn update(&self, id: &str, limits: Limits) -> Result<(), Failure>;

    /// What a container uses.
    fn stats(&self, id: &str) -> Result<ContainerStats, Failure>;

    /// Waits until more than `seen` of its processes were killed for want of memory, or it has ended.
    fn wait_oom(&self, id: &str, seen: u64) -> Result<ContainerStats, Failure>;

    /// Kills all processes of a container that is not the first, and forgets it.
    fn destroy(&self, id: &str) -> Result<(), Failure>;
}
