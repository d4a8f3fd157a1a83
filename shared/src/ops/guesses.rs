//! Nobody's password is guessed through us: refused sign-ins with given passwords are counted by tenant, server and
//! user, and beyond ten in an hour there is no further try (decision 22).

use super::Tools;
use crate::model::{
    Account, Auth, Code, Probe, ProbeCode, Problem, Protocol, Receive, Server, Tenant, Timestamp, Verdict,
};
use crate::store::{StoreError, guesses::MOST};

/// Sign-ins that may be tried. Give it back its result by [`Admitted::settle`]; one that is lost counts as refused.
#[must_use]
pub struct Admitted<'a> {
    tools: &'a Tools,
    tenant: &'a Tenant,
    now: Timestamp,
    taken: Vec<Taken>,
}

struct Taken {
    receive: bool,
    host: String,
    username: String,
}

/// Counts the sign-ins that given settings will cause. `sender`: where the user name may be tried with its domain too.
///
/// # Errors
/// [`Code::RateLimited`] with the time to wait.
pub async fn admit<'a>(
    tools: &'a Tools,
    tenant: &'a Tenant,
    account: &Account,
    sender: Option<&str>,
    now: Timestamp,
) -> Result<Admitted<'a>, Problem> {
    let receive = account.receive.as_ref().map(|receive| (receive.protocol, &receive.server));
    let sides = account.smtp.as_ref().map(|server| (Protocol::Smtp, server)).into_iter().chain(receive);
    admit_all(tools, tenant, sides.flat_map(|(protocol, server)| names(protocol, server, sender)).collect(), now).await
}

/// The same for a sending side alone.
///
/// # Errors
/// As there.
pub async fn admit_smtp<'a>(
    tools: &'a Tools,
    tenant: &'a Tenant,
    server: &Server,
    now: Timestamp,
) -> Result<Admitted<'a>, Problem> {
    admit_all(tools, tenant, names(Protocol::Smtp, server, None), now).await
}

/// The same for a receiving side alone.
///
/// # Errors
/// As there.
pub async fn admit_receive<'a>(
    tools: &'a Tools,
    tenant: &'a Tenant,
    receive: &Receive,
    now: Timestamp,
) -> Result<Admitted<'a>, Problem> {
    admit_all(tools, tenant, names(receive.protocol, &receive.server, None), now).await
}

async fn admit_all<'a>(
    tools: &'a Tools,
    tenant: &'a Tenant,
    wanted: Vec<Taken>,
    now: Timestamp,
) -> Result<Admitted<'a>, Problem> {
    let mut admitted = Admitted { tools, tenant, now, taken: Vec::new() };
    for taken in wanted {
        match tools.store.guesses.take(tenant, &taken.host, &taken.username, now).await? {
            None => admitted.taken.push(taken),
            Some(seconds) => {
                admitted.settle([false, false]).await?;
                let words = format!("{MOST} sign-ins of this user were refused at this server within an hour");
                return Err(Problem::new(Code::RateLimited, words).retry_after(seconds));
            }
        }
    }
    Ok(admitted)
}

fn names(protocol: Protocol, server: &Server, sender: Option<&str>) -> Vec<Taken> {
    let Auth::Password { username, .. } = &server.auth else { return Vec::new() };
    let whole = sender.filter(|sender| sender.contains('@') && !username.contains('@'));
    let names = [Some(username.as_str()), whole].into_iter().flatten();
    let taken = |username: &str| Taken {
        receive: protocol != Protocol::Smtp,
        host: server.host.clone(),
        username: username.to_owned(),
    };
    names.map(taken).collect()
}

impl Admitted<'_> {
    /// Takes back what was not refused: sending, receiving.
    pub async fn settle(self, refused: [bool; 2]) -> Result<(), StoreError> {
        for taken in &self.taken {
            if !refused[usize::from(taken.receive)] {
                self.tools.store.guesses.give_back(self.tenant, &taken.host, &taken.username, self.now).await?;
            }
        }
        Ok(())
    }

    /// [`Admitted::settle`] by the verdicts of a probe.
    pub async fn probed(self, probe: &Probe) -> Result<(), StoreError> {
        self.settle([&probe.smtp, &probe.receive].map(|verdict| is_refusal(verdict.as_ref()))).await
    }
}

/// Whether the server has said no to the credential.
pub fn is_refusal(verdict: Option<&Verdict>) -> bool {
    verdict.is_some_and(|verdict| verdict.code == ProbeCode::AuthFailed)
}
