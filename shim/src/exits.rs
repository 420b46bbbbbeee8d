//! How processes end that were left to us. Somebody may ask after the end, so the last ones are remembered.
//!
//! Locks: one over the list, never held over a wait.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use containerd_shim::Error;
use containerd_shim::monitor::{Subject, Topic, monitor_subscribe};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many ends are remembered that nobody has asked for yet.
const REMEMBERED: usize = 1024;

/// Who waits, and who has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exits(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<i32, Vec<oneshot::Sender<i32>>>,
    ended: VecDeque<(i32, i32)>,
}

impl Exits {
    /// Listens from now on.
    pub(crate) async fn listen() -> Result<Self, Error> {
        let exits = Self::default();
        let mut subscription = monitor_subscribe(Topic::Pid).await?;
        let hearing = exits.clone();
        tokio::spawn(async move {
            while let Some(event) = subscription.rx.recv().await {
                if let Subject::Pid(pid) = event.subject {
                    hearing.note(pid, event.exit_code);
                }
            }
        });
        Ok(exits)
    }

    /// Hears nothing.
    pub(crate) fn deaf() -> Self {
        Self::default()
    }

    /// Waits for the end of a child, with 128 + n for signal n. Asked once for each.
    pub(crate) async fn wait(&self, pid: i32) -> i32 {
        let receiver = {
            let mut state = self.0.lock();
            if let Some(at) = state.ended.iter().position(|(ended, _)| *ended == pid) {
                return state.ended.remove(at).map_or(255, |(_, code)| code);
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.entry(pid).or_default().push(sender);
            receiver
        };
        receiver.await.unwrap_or(255)
    }

    fn note(&self, pid: i32, code: i32) {
        let mut state = self.0.lock();
        let waiting = state.waiting.remove(&pid).unwrap_or_default();
        if waiting.is_empty() {
            state.ended.push_back((pid, code));
            if state.ended.len() > REMEMBERED {
                state.ended.pop_front();
            }
        }
        drop(state);
        for sender in waiting {
            let _ = sender.send(code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn end_before_and_after_the_question() {
        let exits = Exits::deaf();
        exits.note(7, 3);
        assert_eq!(exits.wait(7).await, 3);
        let asking = exits.clone();
        let answer = tokio::spawn(async move { asking.wait(8).await });
        while exits.0.lock().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        exits.note(8, 137);
        assert_eq!(answer.await.unwrap(), 137);
    }
}
