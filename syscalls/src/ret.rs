//! What handlers return, as the value of `rax`.

use abi::UserAddr;

use crate::arg::Fd;

/// A result of a handler.
pub(crate) trait IntoRet {
    /// As the register shows it.
    fn into_ret(self) -> u64;
}

impl IntoRet for () {
    fn into_ret(self) -> u64 {
        0
    }
}

impl IntoRet for u64 {
    fn into_ret(self) -> u64 {
        self
    }
}

impl IntoRet for i64 {
    fn into_ret(self) -> u64 {
        self.cast_unsigned()
    }
}

impl IntoRet for u32 {
    fn into_ret(self) -> u64 {
        self.into()
    }
}

impl IntoRet for i32 {
    fn into_ret(self) -> u64 {
        i64::from(self).cast_unsigned()
    }
}

impl IntoRet for usize {
    fn into_ret(self) -> u64 {
        u64::try_from(self).unwrap_or(u64::MAX)
    }
}

impl IntoRet for Fd {
    fn into_ret(self) -> u64 {
        self.0.into_ret()
    }
}

impl IntoRet for UserAddr {
    fn into_ret(self) -> u64 {
        self.0
    }
}
