//! What becomes of a call that a signal interrupted.

use abi::signal::{SaFlags, SigAction};

use crate::error::{Code, Restart, SysResult};

/// How an interrupted call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this value in the result register.
    Return(u64),
    /// It is made again.
    Again,
    /// restart_syscall(2) is made instead.
    Block,
}

/// How a call ends whose handler's result is `result`, when the handler with `action` runs next, or none.
pub(super) fn ending(result: &SysResult, action: Option<&SigAction>) -> Ending {
    let restart = match result {
        Ok(value) => return Ending::Return(*value),
        Err(error) => match error.code() {
            Code::Errno(errno) => return Ending::Return(failure(errno)),
            Code::Restart(restart) => restart,
        },
    };
    let again = match (restart, action) {
        (Restart::NoIntr, _) | (Restart::Sys | Restart::NoHand, None) => true,
        (Restart::Sys, Some(action)) => action.flags.contains(SaFlags::SA_RESTART),
        (Restart::NoHand | Restart::Block, Some(_)) => false,
        (Restart::Block, None) => return Ending::Block,
    };
    if again { Ending::Again } else { Ending::Return(failure(abi::Errno::EINTR)) }
}

/// An errno as the result register shows it.
fn failure(errno: abi::Errno) -> u64 {
    i64::from(-errno.raw()).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use abi::Errno;

    use super::*;

    #[test]
    fn the_table_of_signal_7_holds() {
        let eintr = Ending::Return(-4i64 as u64);
        let plain = SigAction { handler: 0x1000, ..SigAction::default() };
        let restarting = SigAction { flags: SaFlags::SA_RESTART, ..plain };
        let table = [
            (Restart::Sys, Ending::Again, eintr, Ending::Again),
            (Restart::NoIntr, Ending::Again, Ending::Again, Ending::Again),
            (Restart::NoHand, Ending::Again, eintr, eintr),
            (Restart::Block, Ending::Block, eintr, eintr),
        ];
        for (restart, none, handled, sa_restart) in table {
            let result: SysResult = Err(restart.into());
            assert_eq!(ending(&result, None), none, "{restart:?}");
            assert_eq!(ending(&result, Some(&plain)), handled, "{restart:?}");
            assert_eq!(ending(&result, Some(&restarting)), sa_restart, "{restart:?}");
        }
        assert_eq!(ending(&Ok(5), Some(&plain)), Ending::Return(5));
        assert_eq!(ending(&Err(Errno::ENOENT.into()), None), Ending::Return(-2i64 as u64));
    }
}
