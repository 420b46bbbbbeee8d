//! keyctl(2), add_key(2): operations, special keyrings, permissions.
#![expect(missing_docs, reason = "the names are Linux's, see keyctl(2)")]

use crate::names::numbers;

numbers! {
    /// The name of an operation.
    pub fn keyctl_name(u32) {
        KEYCTL_GET_KEYRING_ID = 0,
        KEYCTL_JOIN_SESSION_KEYRING = 1,
        KEYCTL_UPDATE = 2,
        KEYCTL_REVOKE = 3,
        KEYCTL_CHOWN = 4,
        KEYCTL_SETPERM = 5,
        KEYCTL_DESCRIBE = 6,
        KEYCTL_CLEAR = 7,
        KEYCTL_LINK = 8,
        KEYCTL_UNLINK = 9,
        KEYCTL_SEARCH = 10,
        KEYCTL_READ = 11,
        KEYCTL_INSTANTIATE = 12,
        KEYCTL_NEGATE = 13,
        KEYCTL_SET_REQKEY_KEYRING = 14,
        KEYCTL_SET_TIMEOUT = 15,
        KEYCTL_ASSUME_AUTHORITY = 16,
        KEYCTL_GET_SECURITY = 17,
        KEYCTL_SESSION_TO_PARENT = 18,
        KEYCTL_REJECT = 19,
        KEYCTL_INSTANTIATE_IOV = 20,
        KEYCTL_INVALIDATE = 21,
        KEYCTL_GET_PERSISTENT = 22,
        KEYCTL_DH_COMPUTE = 23,
        KEYCTL_RESTRICT_KEYRING = 29,
        KEYCTL_MOVE = 30,
        KEYCTL_CAPABILITIES = 31,
        KEYCTL_WATCH_KEY = 32,
    }
}

pub const KEY_SPEC_THREAD_KEYRING: i32 = -1;
pub const KEY_SPEC_PROCESS_KEYRING: i32 = -2;
pub const KEY_SPEC_SESSION_KEYRING: i32 = -3;
pub const KEY_SPEC_USER_KEYRING: i32 = -4;
pub const KEY_SPEC_USER_SESSION_KEYRING: i32 = -5;
pub const KEY_SPEC_GROUP_KEYRING: i32 = -6;
pub const KEY_SPEC_REQKEY_AUTH_KEY: i32 = -7;
pub const KEY_SPEC_REQUESTOR_KEYRING: i32 = -8;
