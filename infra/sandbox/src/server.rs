//! Listeners, and one task per session.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dialogue::{converse, secure};
use crate::imap::Imap;
use crate::pop3::Pop3;
use crate::script::{Origin, Protocol, Script, Service};
use crate::smtp::Smtp;
use crate::store::Store;
use crate::tls::Identities;
use crate::transcript::Transcript;
use crate::wire::{Fate, Wire};
use crate::{Error, Options, Ports};

/// How often a free port of IPv4 is sought that IPv6 has free too.
const PORT_TRIES: usize = 20;
/// The pause after a failed accept (too many open files), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) script: Script,
    pub(crate) identities: Identities,
    pub(crate) transcript: Arc<Transcript>,
    plain_auth: bool,
    sessions: AtomicU64,
}

impl Core {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            store: Store::open(options.data.as_deref(), &options.users)?,
            script: Script::default(),
            identities: Identities::new(options.ca_dir.as_deref())?,
            transcript: Arc::default(),
            plain_auth: options.plain_auth,
            sessions: AtomicU64::new(0),
        })
    }

    /// Whether a login is allowed on such a connection (RFC 4954 §4, RFC 3501 §6.2.3).
    pub(crate) fn may_log_in(&self, tls: bool) -> bool {
        tls || self.plain_auth
    }

    fn open(&self, service: Service) -> Origin {
        let origin = Origin { session: self.sessions.fetch_add(1, Ordering::SeqCst) + 1, service };
        self.script.open(origin);
        origin
    }
}

/// Binds all services and starts to accept.
pub(crate) async fn listen(
    core: &Arc<Core>,
    ports: Ports,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<BTreeMap<Service, u16>, Error> {
    let mut bound = BTreeMap::new();
    for service in Service::ALL {
        let wanted = wanted(ports, service);
        let (port, listeners) = bind(wanted).await.map_err(|source| Error::Bind { service, port: wanted, source })?;
        bound.insert(service, port);
        for listener in listeners {
            tasks.spawn(accept(Arc::clone(core), listener, service, tasks.clone(), stop.clone()));
        }
    }
    Ok(bound)
}

fn wanted(ports: Ports, service: Service) -> u16 {
    match service {
        Service::Smtp => ports.smtp,
        Service::Submission => ports.submission,
        Service::Smtps => ports.smtps,
        Service::Pop3 => ports.pop3,
        Service::Pop3s => ports.pop3s,
        Service::Imap => ports.imap,
        Service::Imaps => ports.imaps,
    }
}

/// Binds 127.0.0.1 and the same port of ::1, where the machine has IPv6.
async fn bind(wanted: u16) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let four = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, wanted))).await?;
        let port = four.local_addr()?.port();
        match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
            Ok(six) => return Ok((port, vec![four, six])),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if wanted != 0 || tries == PORT_TRIES {
                    return Err(error);
                }
            }
            Err(error) => {
                tracing::debug!(%error, port, "no IPv6 here");
                return Ok((port, vec![four]));
            }
        }
    }
}

async fn accept(core: Arc<Core>, listener: TcpListener, service: Service, tasks: TaskTracker, stop: CancellationToken) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(Arc::clone(&core), stream, service, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, ?service, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(core: Arc<Core>, stream: TcpStream, service: Service, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let origin = core.open(service);
    // A client that resets or breaks TLS ends its session; that is daily bread here.
    if let Some(Err(error)) = stop.run_until_cancelled(session(&core, stream, origin)).await {
        tracing::debug!(%error, ?service, session = origin.session, "session broken off");
    }
}

async fn session(core: &Arc<Core>, stream: TcpStream, origin: Origin) -> io::Result<()> {
    let mut wire = Wire::new(stream, origin, Arc::clone(&core.transcript));
    let tls = origin.service.implicit_tls();
    if tls && secure(core, origin, &mut wire).await? == Fate::Closed {
        return Ok(());
    }
    let wire = &mut wire;
    match origin.service.protocol() {
        Protocol::Smtp => converse(Smtp::new(Arc::clone(core), origin), core, origin, wire).await,
        Protocol::Pop3 => converse(Pop3::new(Arc::clone(core), origin), core, origin, wire).await,
        Protocol::Imap => converse(Imap::new(Arc::clone(core), origin), core, origin, wire).await,
    }
}
