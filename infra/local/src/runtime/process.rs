//! One process of a function, from start to end.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::function::Function;
use super::{FunctionSpec, log};

/// How long a process may take until it asks for work first (AWS Lambda: 10 s; a debug build on a busy machine is
/// given more).
const INIT_LIMIT: Duration = Duration::from_secs(30);

/// How long the end of a process's output may take after the process's own.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Starts the process after `delay`, keeps its deadlines, and reports its end to the function.
pub(super) async fn supervise(
    function: Arc<Function>,
    number: u32,
    deadlines: watch::Receiver<Option<Instant>>,
    delay: Duration,
) {
    let mut output = JoinSet::new();
    let ending = run(&function, number, deadlines, delay, &mut output).await;
    function.exited(number, &ending);
    // What the process printed last, unless somebody else still holds its output open.
    drop(timeout(LAST_WORDS, output.join_all()).await);
}

async fn run(
    function: &Arc<Function>,
    number: u32,
    deadlines: watch::Receiver<Option<Instant>>,
    delay: Duration,
    output: &mut JoinSet<()>,
) -> String {
    let stopped = function.host.stop.run_until_cancelled(sleep(delay)).await.is_none();
    if stopped {
        return "the local service is stopping".to_owned();
    }
    let mut child = match command(function, number).spawn() {
        Ok(child) => child,
        Err(error) => return format!("cannot start {}: {error}", function.spec.binary.display()),
    };
    let pid = child.id();
    if let Some(pid) = pid {
        function.host.pids.add(pid, &function.spec.binary);
    }
    log::follow(&mut child, output, &function.host.log, &function.spec.name, number);
    let ending = match watch_over(function, number, deadlines, &mut child).await {
        Ok(status) => status.to_string(),
        Err(error) => format!("lost sight of the process: {error}"),
    };
    if let Some(pid) = pid {
        function.host.pids.remove(pid);
    }
    ending
}

/// Waits for the end of the process, which comes by itself or at a deadline.
async fn watch_over(
    function: &Function,
    number: u32,
    mut deadlines: watch::Receiver<Option<Instant>>,
    child: &mut Child,
) -> std::io::Result<ExitStatus> {
    let mut deadline = Some(Instant::now() + INIT_LIMIT);
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = function.host.stop.cancelled() => return kill(child).await,
            Ok(()) = deadlines.changed() => deadline = *deadlines.borrow_and_update(),
            () = until(deadline) => {
                if function.expire(number) {
                    return kill(child).await;
                }
                deadline = *deadlines.borrow_and_update();
            }
        }
    }
}

async fn kill(child: &mut Child) -> std::io::Result<ExitStatus> {
    child.start_kill()?;
    child.wait().await
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The command line of an instance. Nothing of the caller's shell reaches it: a developer's real AWS profile must not.
fn command(function: &Function, number: u32) -> Command {
    let FunctionSpec { name, binary, .. } = &function.spec;
    let host = &function.host;
    let api = format!("http://127.0.0.1:{}/{name}/{number}", host.port);
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("AWS_REGION", &host.region)
        .env("AWS_DEFAULT_REGION", &host.region)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("TZ", ":UTC")
        // What a function prints also goes to a file.
        .env("NO_COLOR", "1")
        .envs(&function.spec.env)
        // With a path in it, the Rust runtime wants the scheme too.
        .env("AWS_LAMBDA_RUNTIME_API", api)
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.spec.memory_mb.to_string())
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Out of the terminal's foreground group: Ctrl-C is for the host, which then ends its functions in order.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(root) = binary.parent() {
        command.env("LAMBDA_TASK_ROOT", root).current_dir(root);
    }
    command
}
