//! Keeps a stub and its tracer on one CPU while they hand over to each other often.
//!
//! Left alone, the host's scheduler wakes either on an idle CPU if there is one, and a wake-up across CPUs costs many times
//! what the hand-over does (docs/decisions/0002). So both are bound to the CPU where the tracer is. A watch thread looks
//! every few milliseconds: a pair that does not hand over often (it computes, or waits) is set free; one that does is set
//! free for a few hand-overs now and then, so that the scheduler can move it away from a CPU that others want, and is
//! bound again where it is then. The watch sleeps while all are free and quiet.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use host::sched::{self, CpuMask};
use parking_lot::{Condvar, Mutex};

/// How often the watch looks.
const TICK: Duration = Duration::from_millis(10);
/// Hand-overs in a tick from which on a free pair is bound.
const OFTEN: u32 = 40;
/// Hand-overs in a tick below which a bound pair is set free.
const RARELY: u32 = 10;
/// Hand-overs that a pair stays free for the scheduler to move it.
const ROAMING: u32 = 4;
/// Most ticks between two moves.
const LONGEST_STAY: u32 = 8;
/// Quiet ticks after which the watch sleeps.
const QUIET: u32 = 20;

const FREE: u8 = 0;
const BOUND: u8 = 1;
/// Free, and about to be bound again by the tracer.
const MOVING: u8 = 2;

/// A tracer and its stub.
#[derive(Debug)]
pub(super) struct Seat {
    state: AtomicU8,
    /// Written by the tracer alone.
    handovers: AtomicU32,
    roaming: AtomicU32,
    /// Tracer and stub, while both exist.
    pair: Mutex<Option<(i32, i32)>>,
    all: CpuMask,
}

impl Seat {
    /// Binds the calling thread and its stub. `None` if there is nothing to choose.
    pub(super) fn take(stub: i32) -> Option<Arc<Self>> {
        let all = sched::all_cpus()?;
        let seat = Arc::new(Self {
            state: AtomicU8::new(FREE),
            handovers: AtomicU32::new(0),
            roaming: AtomicU32::new(0),
            pair: Mutex::new(Some((nix::unistd::gettid().as_raw(), stub))),
            all,
        });
        seat.bind();
        WATCH.add(&seat);
        Some(seat)
    }

    /// The tracer calls this before each hand-over.
    pub(super) fn count(&self) {
        let handovers = self.handovers.load(Ordering::Relaxed).wrapping_add(1);
        self.handovers.store(handovers, Ordering::Relaxed);
        match self.state.load(Ordering::Relaxed) {
            BOUND => {}
            MOVING => {
                if self.roaming.fetch_add(1, Ordering::Relaxed) >= ROAMING {
                    self.bind();
                }
            }
            _ => WATCH.wake(),
        }
    }

    /// The tracer gives its stub up.
    pub(super) fn leave(&self) {
        let mut pair = self.pair.lock();
        if let Some((tracer, _)) = pair.take()
            && self.state.load(Ordering::Relaxed) == BOUND
        {
            let _ = self.all.apply(tracer);
        }
    }

    fn bind(&self) {
        let here = CpuMask::one(sched::current_cpu());
        let pair = self.pair.lock();
        let bound = pair.is_some_and(|(tracer, stub)| here.apply(stub).is_ok() && here.apply(tracer).is_ok());
        self.state.store(if bound { BOUND } else { FREE }, Ordering::Relaxed);
    }

    fn set_free(&self, state: u8) {
        let pair = self.pair.lock();
        if let Some((tracer, stub)) = *pair {
            let _ = self.all.apply(stub);
            let _ = self.all.apply(tracer);
        }
        self.roaming.store(0, Ordering::Relaxed);
        self.state.store(state, Ordering::Relaxed);
    }

    fn is_taken(&self) -> bool {
        self.pair.lock().is_some()
    }
}

static WATCH: LazyLock<Watch> = LazyLock::new(Watch::default);

/// The thread that looks after all seats of the process.
#[derive(Debug, Default)]
struct Watch {
    seats: Mutex<Seats>,
    called: Condvar,
    asleep: AtomicBool,
}

#[derive(Debug, Default)]
struct Seats {
    all: Vec<Watched>,
    started: bool,
}

#[derive(Debug)]
struct Watched {
    seat: Weak<Seat>,
    seen: u32,
    /// Ticks until the next move, and how long the stay before it was.
    left: u32,
    stay: u32,
}

impl Watch {
    fn add(&'static self, seat: &Arc<Seat>) {
        let mut seats = self.seats.lock();
        seats.all.push(Watched { seat: Arc::downgrade(seat), seen: 0, left: 1, stay: 1 });
        if !seats.started {
            let thread = std::thread::Builder::new().name("placement".into()).stack_size(64 << 10);
            seats.started = thread.spawn(|| self.run()).is_ok();
        }
        drop(seats);
        self.wake();
    }

    fn wake(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::SeqCst) {
            drop(self.seats.lock());
            self.called.notify_one();
        }
    }

    fn run(&self) {
        sched::run_anywhere();
        let mut quiet = 0;
        let mut seats = self.seats.lock();
        loop {
            if quiet < QUIET {
                self.called.wait_for(&mut seats, TICK);
            } else {
                self.asleep.store(true, Ordering::SeqCst);
                while self.asleep.load(Ordering::SeqCst) {
                    self.called.wait(&mut seats);
                }
                quiet = 0;
            }
            let mut active = false;
            seats.all.retain_mut(|watched| watched.look(&mut active));
            quiet = if active { 0 } else { quiet + 1 };
        }
    }
}

impl Watched {
    /// Looks once; returns whether the seat is still taken.
    fn look(&mut self, active: &mut bool) -> bool {
        let Some(seat) = self.seat.upgrade().filter(|seat| seat.is_taken()) else { return false };
        let handovers = seat.handovers.load(Ordering::Relaxed);
        let since = handovers.wrapping_sub(std::mem::replace(&mut self.seen, handovers));
        let state = seat.state.load(Ordering::Relaxed);
        *active |= state != FREE || since >= RARELY;
        self.left = self.left.saturating_sub(1);
        match state {
            BOUND if since < RARELY => seat.set_free(FREE),
            BOUND if self.left == 0 => {
                self.stay = (self.stay * 2).min(LONGEST_STAY);
                self.left = self.stay;
                seat.set_free(MOVING);
            }
            MOVING if since < RARELY => seat.set_free(FREE),
            FREE if since >= OFTEN => {
                (self.left, self.stay) = (1, 1);
                seat.set_free(MOVING);
            }
            _ => {}
        }
        true
    }
}
