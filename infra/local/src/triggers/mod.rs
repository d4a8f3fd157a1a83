//! What starts functions by itself: queues ([`queue`]), streams ([`stream`]) and schedules ([`schedule`]).

mod queue;
mod schedule;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::{Sqs, Streams};
use crate::gateway::Invoke;
use crate::template::Template;

/// Invocations at once by one trigger that names no limit of its own.
pub(crate) const DEFAULT_CONCURRENCY: u32 = 4;

/// A trigger of the template that cannot be honoured here.
#[derive(Debug, thiserror::Error)]
#[error("Resources.{function}.Properties.Events.{event}: {expression}: {reason}")]
pub(crate) struct TriggerError {
    /// Logical id of the function.
    function: String,
    /// The event's name.
    event: String,
    /// As written in the template.
    expression: String,
    /// What is wrong with it, and what is right.
    reason: String,
}

/// The running triggers.
pub(crate) struct Triggers {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Triggers {
    /// Starts a poller for each queue and stream, and a clock for each schedule of the template.
    ///
    /// # Errors
    /// A schedule expression that is not understood.
    pub(crate) fn start<I: Invoke>(
        template: &Template,
        functions: &Arc<I>,
        sqs: &Sqs,
        streams: &Streams,
    ) -> Result<Self, TriggerError> {
        let triggers = Self { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        for function in &template.functions {
            for trigger in function.queues.iter().filter(|trigger| trigger.enabled) {
                let poller = queue::Poller::new(&function.name, trigger, Arc::clone(functions), sqs.clone());
                triggers.spawn(poller.run(triggers.tasks.clone()));
            }
            for trigger in function.streams.iter().filter(|trigger| trigger.enabled) {
                let (functions, streams) = (Arc::clone(functions), streams.clone());
                let poller = stream::Poller::new(&function.name, trigger, functions, streams, sqs.clone());
                triggers.spawn(poller.run());
            }
            for trigger in function.schedules.iter().filter(|trigger| trigger.enabled) {
                let refused = |reason| TriggerError {
                    function: function.logical_id.clone(),
                    event: trigger.name.clone(),
                    expression: trigger.expression.clone(),
                    reason,
                };
                let clock = schedule::Clock::new(&function.name, trigger, Arc::clone(functions)).map_err(refused)?;
                triggers.spawn(clock.run(triggers.tasks.clone()));
            }
        }
        Ok(triggers)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(work).await });
    }

    /// Starts nothing more. What is under way ends with the functions.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    /// Waits, after [`Self::stop`], until every result has been noted.
    pub(crate) async fn stopped(&self) {
        self.tasks.wait().await;
    }
}
