//! Makes a function with typed arguments the handler of a call.

use std::fmt;

use platform_types::SyscallArgs;
use sentry::error::{Result, SysResult};
use sentry::platform as platform_types;
use sentry::task::CurrentTask;

use crate::arg::FromArg;
use crate::ret::IntoRet;

/// A function that can stand in the table; `A` is the tuple of its arguments.
pub(crate) trait Handler<A> {
    /// Decodes the arguments and calls it.
    fn call(self, task: &mut CurrentTask, args: &SyscallArgs) -> SysResult;

    /// Writes its arguments, comma-separated.
    fn trace(self, task: &CurrentTask, args: &SyscallArgs, out: &mut dyn fmt::Write) -> fmt::Result;
}

macro_rules! handlers {
    ($(($($arg:ident $index:literal),*);)*) => {$(
        impl<F, R, $($arg),*> Handler<($($arg,)*)> for F
        where
            F: FnOnce(&mut CurrentTask, $($arg),*) -> Result<R>,
            R: IntoRet,
            $($arg: FromArg),*
        {
            #[inline]
            fn call(self, task: &mut CurrentTask, args: &SyscallArgs) -> SysResult {
                let _ = args;
                self(task, $($arg::from_arg(args.args[$index])?),*).map(IntoRet::into_ret)
            }

            fn trace(self, task: &CurrentTask, args: &SyscallArgs, out: &mut dyn fmt::Write) -> fmt::Result {
                let _ = (task, args, &out);
                $(
                    if $index > 0 {
                        out.write_str(", ")?;
                    }
                    match $arg::from_arg(args.args[$index]) {
                        Ok(arg) => arg.trace(task, out)?,
                        Err(_) => write!(out, "{:#x}", args.args[$index])?,
                    }
                )*
                Ok(())
            }
        }
    )*};
}

handlers! {
    ();
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, G 5);
}
