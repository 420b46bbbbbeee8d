//! Lock levels and, in debug builds, the check that they are taken in rising order.

/// A place in the lock order. A thread that holds a lock may only take locks of a higher rank.
pub trait Level: Send + Sync + 'static {
    /// What the panic message calls it.
    const NAME: &'static str;
    /// Its rank; two locks of one rank may be held together only if taken with `lock_nested`.
    const RANK: u16;
}

/// Proof that a level was entered; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    #[cfg(debug_assertions)]
    rank: u16,
}

#[cfg(debug_assertions)]
mod check {
    use std::cell::RefCell;

    thread_local! {
        pub(super) static STACK: RefCell<Vec<(u16, &'static str)>> = const { RefCell::new(Vec::new()) };
    }
}

impl Held {
    #[cfg(debug_assertions)]
    #[track_caller]
    pub(crate) fn enter<L: Level>(nested: bool) -> Self {
        check::STACK.with_borrow_mut(|stack| {
            if let Some((rank, name)) = stack.iter().max_by_key(|(rank, _)| *rank) {
                let fine = L::RANK > *rank || (nested && L::RANK == *rank);
                assert!(fine || std::thread::panicking(), "lock order: {} taken while holding {name}", L::NAME);
            }
            stack.push((L::RANK, L::NAME));
        });
        Self { rank: L::RANK }
    }

    #[cfg(not(debug_assertions))]
    #[inline(always)]
    pub(crate) fn enter<L: Level>(_nested: bool) -> Self {
        Self {}
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        // A guard may be dropped while its thread ends, after the stack is gone.
        let _ = check::STACK.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            if let Some(at) = stack.iter().rposition(|(rank, _)| *rank == self.rank) {
                stack.remove(at);
            }
        });
    }
}
