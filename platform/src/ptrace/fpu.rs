//! The vector state of stubs, read and written by ptrace(2).

use abi::Errno;

use super::tracee::Tracee;
use crate::regs::FpuState;
use crate::stub::xsave::{self, XsaveFormat};
use crate::traits::PlatformError;

/// The XSAVE area of this host.
#[derive(Debug)]
pub(super) struct FpuFormat(XsaveFormat);

impl FpuFormat {
    /// Learns it from any stub.
    pub(super) fn of(tracee: &Tracee) -> Result<Self, PlatformError> {
        let mut area = vec![0; xsave::LARGEST];
        let len = tracee.xstate(&mut area)?;
        area.truncate(len);
        let features = xsave::features_of(&area);
        Ok(Self(XsaveFormat::new(&area, features)?))
    }

    /// The state of a fresh program.
    pub(super) fn initial(&self) -> &FpuState {
        self.0.initial()
    }

    /// Reads the state of a stopped stub.
    pub(super) fn save(&self, tracee: &Tracee) -> Result<FpuState, PlatformError> {
        let mut state = self.initial().clone();
        tracee.xstate(state.bytes_mut())?;
        Ok(state)
    }

    /// Loads a state into a stopped stub, as much of it as is valid.
    pub(super) fn load(&self, tracee: &Tracee, state: &FpuState) -> Result<(), PlatformError> {
        for features in [self.0.features(), xsave::COMMON] {
            match tracee.set_xstate(&self.0.valid(state, features)) {
                Err(PlatformError::Host { errno: Errno::EINVAL, .. }) => {}
                done => return done,
            }
        }
        tracee.set_xstate(self.initial().bytes())
    }
}
