//! Work that outlives the one who asked for it, and has to be done before the process is frozen.
//!
//! Lambda stops a process between two invocations, with everything that runs in it: an answer that arrives then is read
//! minutes later, or never. So whoever ends an invocation waits for such work first ([`finished`]).

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

static UNDER_WAY: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Begins work that goes on where nobody waits for its result any more; the result, for whoever does. It ends without
/// one only where the work panics.
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    let task = tokio::spawn(async move {
        // Nobody may be waiting any more.
        let _ = done.send(work.await);
    });
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    under_way.retain(|task| !task.is_finished());
    under_way.push(task);
    result
}

/// Waits until all such work is done, at most so long. What is left then is frozen, and says so in the log.
pub async fn finished(patience: Duration) {
    let until = Instant::now() + patience;
    loop {
        let task = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(task) = task else { return };
        if timeout_at(until, task).await.is_err() {
            tracing::warn!("work goes on behind the end of its invocation");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_waited_for_although_its_caller_has_gone() {
        let (go, wait) = oneshot::channel::<()>();
        let (told, done) = oneshot::channel::<u8>();
        drop(spawn(async move {
            wait.await.unwrap();
            told.send(7).unwrap();
        }));
        go.send(()).unwrap();
        finished(Duration::from_secs(10)).await;
        assert_eq!(done.await, Ok(7));
        assert_eq!(spawn(async { 8 }).await, Ok(8));
    }
}
