//! Halfpenny's library: everything that two or more of its Lambda functions share.
//!
//! Halfpenny sends and receives mail through the mailboxes of its customers' customers: SMTP out, POP3 or IMAP in, for
//! many tenants, with nothing running while nobody writes.
//!
//! # Map
//!
//! | room | holds | knows |
//! |---|---|---|
//! | [`model`] | plain data and its validation | nothing of AWS, lettre or HTTP |
//! | [`net`] | the only way out: resolve, filter, connect to what was filtered | |
//! | [`mail`] | the protocols, composing, parsing, sanitising | [`net`], [`model`] |
//! | [`oauth`] | token endpoints and token servers | [`net`], [`model`], [`mail::Error`] |
//! | [`store`] | DynamoDB, S3, Secrets Manager, SQS, EventBridge | [`model`] |
//! | [`ops`] | use cases: [`ops::send`], [`ops::pull`], [`ops::probe`], [`ops::diagnose`], [`ops::schedule`], [`ops::notify`] | all of the above |
//! | [`http`] | routes, requests, answers, problems; the only place that names a status code | [`model`], [`mail::Deadline`] |
//! | [`events`] | SQS batches, the table's stream and the clock | |
//! | [`background`] | what must be done before an invocation ends | |
//! | [`settings`], [`logging`] | the environment, read once; logs that hold no secret | |
//!
//! Arrows never turn back: `functions -> http, events, ops -> mail, store -> model`. [`mail`] and [`store`] never see
//! each other. A function is wiring: its `main` reads like its IAM policy, its handler tells the story of its request.
//!
//! # One send
//!
//! `POST /v1/accounts/{account}/messages` reaches `functions/send`. [`ops::send::accept`] checks and composes the
//! message, stores its files and body, and claims its id with one conditional write; that write is what "accepted"
//! means. Where the caller waits, the attempt follows at once: [`ops::sign_in`] gets the secret, [`mail::connect()`]
//! resolves, filters, secures; [`mail::smtp`] carries MAIL, RCPT, DATA; the row says COMMITTING before the final dot
//! and the result after its reply. Otherwise, and for every later attempt, `functions/deliver` does the same from
//! the queue, and `functions/schedule` finds by the due index whatever nobody is working on. What follows on a message
//! that has left ([`ops::follow_up`]) waits in the same row and index: the copy in the Sent folder, the mark on what it
//! answers, and where the reply was lost, the search for its copy ([`ops::resolve`]).
//!
//! # One pull
//!
//! `functions/schedule` knows who is due without asking ([`model::poll`]) and names a hundred mailboxes in one queue
//! message; `functions/pull-worker` pulls them at once ([`ops::pull::work`]), `functions/pull` one where somebody asks
//! ([`ops::pull::pull`]): sign in, ask STATUS or STAT, stop if the ledger says the same. Else list, fetch by
//! [`mail::imap`] or [`mail::pop3`], and for each message: source to S3, parse ([`mail::parse`]), row by a conditional
//! write under a key that follows from the message, then the ledger; what an earlier completed run stored may then be
//! deleted at the server. Over IMAP, what others do with stored messages is followed (flags, moves, deletions,
//! renumbered folders), and what a caller does with one ([`ops::change`]) is done at the server first. What a message
//! says is found again by its words ([`ops::search`]).
//!
//! # One event
//!
//! Nobody announces anything by hand: a row is written, and the table's stream hands the change to `functions/notify`.
//! [`store::changes`] reads it, [`ops::notify::events`] says what it means (a pure function, so that ids are stable), the
//! event bus gets every event, and each webhook that wants it a job of its queue, which [`ops::webhooks`] does.
//!
//! # Invariants
//!
//! - A key is built by [`store::keys`] alone and begins with its tenant.
//! - A secret is a `SecretString` from its source to its wire; no type that holds one can be printed or serialised.
//! - A password goes to the host, port, security and user that it was given for, and nowhere else ([`ops::diagnose`]
//!   may try one that came in the same call at another port of the same host, as secure as before or more).
//! - Every wait has a deadline, every read a cap ([`mail::limits`]); every error names the phase it happened in.
//! - Only 250 after the final dot is "sent". What was handed over and not answered is "unknown", never "failed".
//! - Nothing downstream exists without its upstream: object, row, ledger, deletion, in this order.
//! - Time is an argument; [`model::Timestamp::now`] is the only clock.
//!
//! # What is absent
//!
//! No connection outlives its invocation. No opportunistic TLS. No transaction, and no lock that correctness depends
//! on. No mock of AWS: it is moved by endpoint URL. No switch for tests in production code.

pub mod background;
pub mod events;
pub mod http;
pub mod logging;
pub mod mail;
pub mod model;
pub mod net;
pub mod oauth;
pub mod ops;
pub mod settings;
pub mod store;
