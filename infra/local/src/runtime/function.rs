//! One function: its queue, its instances, and who holds which invocation.
//!
//! Invariant: an invocation is either in the queue or registered with exactly one instance, and it moves between the
//! two in one step under the lock. Whoever sees an instance end can therefore always answer what it held.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::gateway::{InvokeError, InvokeErrorKind};

use super::error::failure;
use super::{FunctionSpec, Host, MAX_PAYLOAD, process};

/// First wait before a process is started again that ended before asking for work; doubled with each failure.
const START_BACKOFF: Duration = Duration::from_millis(100);
/// Doublings of [`START_BACKOFF`] at most: 6.4 s.
const MAX_DOUBLINGS: u32 = 6;
/// Failed starts in a row after which callers hear of it instead of waiting on.
const TRIES: u32 = 2;

/// What an invocation ends with.
type Outcome = Result<Bytes, InvokeError>;

/// One call of a function.
struct Invocation {
    id: String,
    payload: Bytes,
    reply: oneshot::Sender<Outcome>,
}

impl Invocation {
    /// Answers the caller. A caller that went away needs no answer: API Gateway leaves after 30 s.
    fn answer(self, outcome: Outcome) {
        drop(self.reply.send(outcome));
    }

    fn fail(self, kind: InvokeErrorKind, error_type: &str, message: &str) {
        let message = format!("RequestId: {} Error: {message}", self.id);
        self.answer(Err(failure(kind, error_type, &message)));
    }
}

/// What an instance gets from `next`.
pub(super) struct Event {
    /// `lambda-runtime-aws-request-id`.
    pub(super) id: String,
    /// `lambda-runtime-deadline-ms`: milliseconds since 1970.
    pub(super) deadline_ms: i64,
    /// The event.
    pub(super) payload: Bytes,
}

/// Where an instance stands.
enum Phase {
    /// Started, has not asked for work yet.
    Starting,
    /// Asking for work, or about to.
    Idle,
    /// Holds an invocation.
    Busy(Invocation),
    /// Condemned: its time was up, the kill is under way.
    Ending,
}

struct Instance {
    phase: Phase,
    /// When the supervisor has to kill the process; `None` while it has nothing to do.
    deadline: watch::Sender<Option<Instant>>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Invocation>,
    instances: BTreeMap<u32, Instance>,
    /// Number of the next instance; never reused.
    next_instance: u32,
    /// In a row, since an instance last asked for work.
    failed_starts: u32,
    stopping: bool,
}

impl State {
    /// Instances that will ask for work without anything else having to happen.
    fn available(&self) -> usize {
        let ready = |i: &&Instance| matches!(i.phase, Phase::Starting | Phase::Idle);
        self.instances.values().filter(ready).count()
    }

    fn busy(&self) -> bool {
        let busy = |i: &Instance| matches!(i.phase, Phase::Busy(_));
        self.instances.values().any(busy)
    }
}

/// What `take` found.
enum Take {
    Event(Event),
    NothingYet,
    /// The instance is not, or no longer, entitled to work.
    Refused,
}

/// A function and all that is under way in it.
pub(super) struct Function {
    /// As the template has it.
    pub(super) spec: FunctionSpec,
    /// What all functions share.
    pub(super) host: Arc<Host>,
    state: Mutex<State>,
    work: Notify,
}

impl Function {
    /// A function without processes: they start with the first invocation.
    pub(super) fn new(spec: FunctionSpec, host: Arc<Host>) -> Self {
        Self { spec, host, state: Mutex::default(), work: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the function once. Dropping the future does not stop the invocation, as on AWS.
    pub(super) async fn invoke(self: &Arc<Self>, payload: Bytes) -> Outcome {
        if payload.len() > MAX_PAYLOAD {
            return Err(request_too_large(payload.len()));
        }
        let (reply, answer) = oneshot::channel();
        self.enqueue(Invocation { id: Uuid::new_v4().to_string(), payload, reply });
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }

    fn enqueue(self: &Arc<Self>, invocation: Invocation) {
        let mut state = self.state();
        if state.stopping {
            return invocation.answer(Err(stopping()));
        }
        state.queue.push_back(invocation);
        self.start_if_needed(&mut state);
        self.work.notify_one();
    }

    /// Starts one more instance when the queue is longer than the instances that are free for it.
    fn start_if_needed(self: &Arc<Self>, state: &mut State) {
        let limit = usize::try_from(self.spec.instances).unwrap_or(usize::MAX);
        if state.queue.len() <= state.available() || state.instances.len() >= limit {
            return;
        }
        let number = state.next_instance;
        state.next_instance += 1;
        let (deadline, deadlines) = watch::channel(None);
        let phase = Phase::Starting;
        state.instances.insert(number, Instance { phase, deadline });
        let delay = backoff(state.failed_starts);
        let supervisor = process::supervise(Arc::clone(self), number, deadlines, delay);
        self.host.tasks.spawn(supervisor);
    }

    /// Waits for work for an instance; `None` when the instance is not entitled to any.
    pub(super) async fn next(&self, number: u32) -> Option<Event> {
        loop {
            let mut notified = std::pin::pin!(self.work.notified());
            // Registered before looking, so that an invocation queued between the two is not missed.
            notified.as_mut().enable();
            match self.take(number) {
                Take::Event(event) => return Some(event),
                Take::NothingYet => notified.await,
                Take::Refused => {
                    // The wake-up that this poll may have swallowed belongs to another instance.
                    self.work.notify_one();
                    return None;
                }
            }
        }
    }

    /// Moves the oldest invocation from the queue to the instance, in one step.
    fn take(&self, number: u32) -> Take {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(instance) = state.instances.get_mut(&number) else {
            return Take::Refused;
        };
        match instance.phase {
            Phase::Busy(_) | Phase::Ending => return Take::Refused,
            Phase::Starting => {
                state.failed_starts = 0;
                instance.phase = Phase::Idle;
                instance.deadline.send_replace(None);
            }
            Phase::Idle => {}
        }
        let Some(invocation) = state.queue.pop_front() else {
            return Take::NothingYet;
        };
        let timeout = self.spec.timeout;
        instance.deadline.send_replace(Some(Instant::now() + timeout));
        let event = Event {
            id: invocation.id.clone(),
            deadline_ms: epoch_ms(OffsetDateTime::now_utc() + timeout),
            payload: invocation.payload.clone(),
        };
        instance.phase = Phase::Busy(invocation);
        Take::Event(event)
    }

    /// Ends the invocation that the instance holds. `false` if it does not hold this one (any more): the answer came
    /// after the deadline.
    pub(super) fn finish(&self, number: u32, id: &str, outcome: Outcome) -> bool {
        let mut state = self.state();
        let Some(instance) = state.instances.get_mut(&number) else {
            return false;
        };
        if !matches!(&instance.phase, Phase::Busy(held) if held.id == id) {
            return false;
        }
        instance.deadline.send_replace(None);
        if let Phase::Busy(invocation) = std::mem::replace(&mut instance.phase, Phase::Idle) {
            invocation.answer(outcome);
        }
        true
    }

    /// The supervisor found the deadline passed: the caller hears of it, the process is killed next. `false` if the
    /// instance has answered in the meantime and shall live.
    pub(super) fn expire(&self, number: u32) -> bool {
        let mut state = self.state();
        let Some(instance) = state.instances.get_mut(&number) else {
            return true;
        };
        match std::mem::replace(&mut instance.phase, Phase::Ending) {
            Phase::Busy(invocation) => {
                let seconds = self.spec.timeout.as_secs_f64();
                let message = format!("Task timed out after {seconds:.2} seconds");
                invocation.fail(InvokeErrorKind::Timedout, "Sandbox.Timedout", &message);
                true
            }
            phase => {
                let starting = matches!(phase, Phase::Starting);
                instance.phase = phase;
                starting
            }
        }
    }

    /// The process has ended: answers what it held, counts a failed start, replaces it if there is work.
    pub(super) fn exited(self: &Arc<Self>, number: u32, ending: &str) {
        let mut state = self.state();
        match state.instances.remove(&number).map(|i| i.phase) {
            Some(Phase::Busy(invocation)) => {
                let message = format!("Runtime exited with error: {ending}");
                invocation.fail(InvokeErrorKind::Exit, "Runtime.ExitError", &message);
            }
            Some(Phase::Starting) if !state.stopping => self.start_failed(&mut state, ending),
            _ => {}
        }
        self.start_if_needed(&mut state);
    }

    fn start_failed(&self, state: &mut State, ending: &str) {
        state.failed_starts = state.failed_starts.saturating_add(1);
        let name = &self.spec.name;
        tracing::warn!(function = %name, tries = state.failed_starts, "did not start: {ending}");
        if state.failed_starts < TRIES {
            return;
        }
        let message = format!("{name} ended before it asked for work: {ending}; see log/{name}.log");
        for invocation in state.queue.drain(..) {
            invocation.fail(InvokeErrorKind::Init, "Runtime.InitError", &message);
        }
    }

    /// No new work; what waits is answered, what runs goes on.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        for invocation in state.queue.drain(..) {
            invocation.answer(Err(stopping()));
        }
    }

    /// Whether an instance holds an invocation.
    pub(super) fn busy(&self) -> bool {
        self.state().busy()
    }
}

/// The wait before the next start, after this many failures in a row.
fn backoff(failed_starts: u32) -> Duration {
    match failed_starts {
        0 => Duration::ZERO,
        n => START_BACKOFF * 2u32.pow((n - 1).min(MAX_DOUBLINGS)),
    }
}

fn epoch_ms(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() * 1000 + i64::from(at.millisecond())
}

fn stopping() -> InvokeError {
    let message = "the local service is stopping";
    failure(InvokeErrorKind::Exit, "Runtime.ExitError", message)
}

fn request_too_large(size: usize) -> InvokeError {
    let message = format!("{size} byte payload is too large for the Invoke operation (limit {MAX_PAYLOAD} bytes)");
    failure(InvokeErrorKind::TooLarge, "RequestEntityTooLargeException", &message)
}
