//! One mail transaction: MAIL, RCPT, DATA (RFC 5321 §3.3).

use lettre::Address;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{MailBodyParameter, MailParameter, RcptParameter};

use super::{Client, Content, Reply, dsn, reply};
use crate::mail::error::{Error, Refusal};
use crate::mail::limits::SMTP_PIPELINE;
use crate::mail::wire::{Deadline, Stream};
use crate::model::content::Dsn;
use crate::model::{Phase, ProbeCode};

/// What MAIL and RCPT say about the message beside the addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// Bytes, as SIZE counts them (RFC 1870 §3).
    pub size: u64,
    /// Some byte is above 127 (RFC 6152).
    pub eight_bit: bool,
    /// Some byte of the header is (RFC 6531 §3.2).
    pub international: bool,
    /// Wishes about delivery reports; they are told only where DSN is offered.
    pub dsn: Option<&'a Dsn>,
}

/// What became of an envelope. Nothing of the message has been handed over.
#[derive(Debug)]
pub struct Envelope<'c, S> {
    /// One verdict per recipient, in the order given. A refusal without a code is our own: the address is none, or
    /// the server cannot take it.
    pub verdicts: Vec<Result<(), Refusal>>,
    /// Where to go on, if somebody was accepted; otherwise the transaction has been reset and the client is free.
    pub transaction: Option<Transaction<'c, S>>,
}

/// An envelope with at least one accepted recipient. Dropped, it leaves the client for [`Client::reset`].
#[derive(Debug)]
pub struct Transaction<'c, S> {
    client: &'c mut Client<S>,
}

/// The server said 354 and waits for the message. Dropped, the connection is of no use any more, and the message is
/// not handed over.
#[derive(Debug)]
pub struct Ready<'c, S> {
    client: &'c mut Client<S>,
}

/// What became of a message behind DATA. Each case says whether it may be tried again.
#[derive(Debug)]
pub enum Outcome {
    /// 250: the server has taken the responsibility (RFC 5321 §4.2.5).
    Sent(Reply),
    /// 4yz or 5yz: it has not; [`Refusal::is_transient`] says whether to come back.
    Refused(Refusal),
    /// The final dot was never sent, so that the server cannot have accepted it: it may be tried again.
    NotHandedOver(Error),
    /// The final dot may have arrived and no usable answer came: it may or may not be delivered (RFC 1047).
    Unknown(Error),
}

impl<S: Stream> Client<S> {
    /// MAIL and RCPT; in one write where PIPELINING is offered. `from` is empty for the null sender (RFC 5321
    /// §4.5.5); `terms` are those of the [`Content`].
    ///
    /// # Errors
    /// [`ProbeCode::MessageRejected`]: MAIL is refused, or the message is too large or too international for this
    /// server. Besides, what any wait can end in; also 421, with which a server closes (RFC 5321 §3.8).
    pub async fn envelope(
        &mut self,
        from: &str,
        recipients: &[String],
        terms: Terms<'_>,
    ) -> Result<Envelope<'_, S>, Error> {
        self.wire.phase = Phase::Mail;
        self.fits(terms)?;
        let smtputf8 = self.capabilities.smtputf8;
        let parsed: Vec<_> = recipients.iter().map(|recipient| address(recipient, smtputf8)).collect();
        let sender =
            match from {
                "" => None,
                from => Some(address(from, smtputf8).map_err(|refusal| {
                    self.wire.error(ProbeCode::MessageRejected, format!("sender: {}", refusal.text))
                })?),
            };
        let usable: Vec<_> = parsed.iter().flatten().cloned().collect();
        let replies = if usable.is_empty() {
            Vec::new()
        } else {
            let dsn = terms.dsn.filter(|_| self.capabilities.dsn);
            self.converse(self.mail(sender, &usable, terms), usable, dsn).await?
        };
        let mut replies = replies.into_iter();
        let verdicts: Vec<_> = parsed
            .into_iter()
            .map(|parsed| parsed.and_then(|_| replies.next().unwrap_or_else(|| Err(ours("the server gave no answer")))))
            .collect();
        let accepted = verdicts.iter().any(Result::is_ok);
        if !accepted && verdicts.iter().any(|verdict| verdict.as_ref().is_err_and(|refusal| refusal.code.is_some())) {
            self.reset_quietly().await;
        }
        Ok(Envelope { verdicts, transaction: accepted.then_some(Transaction { client: self }) })
    }

    /// What the server has announced that it will not take is not offered to it.
    fn fits(&self, terms: Terms<'_>) -> Result<(), Error> {
        let refuse = |words: String| Err(self.wire.error(ProbeCode::MessageRejected, words));
        let (offered, size) = (&self.capabilities, terms.size);
        // RFC 1870 §6.1
        if let Some(limit) = offered.size.filter(|&limit| size > limit) {
            return refuse(format!("the message has {size} bytes, the server takes {limit} (SIZE)"));
        }
        // RFC 6152 §3: such a message must not be sent.
        if terms.eight_bit && !offered.eight_bit_mime {
            return refuse("the message holds bytes above 127 and the server does not offer 8BITMIME".to_owned());
        }
        // RFC 6531 §3.2: nor such a header.
        if terms.international && !offered.smtputf8 {
            let words = "the header names an international address and the server does not offer SMTPUTF8";
            return refuse(words.to_owned());
        }
        if terms.dsn.is_some_and(|dsn| dsn.required) && !offered.dsn {
            return refuse("delivery reports are required and the server does not offer DSN".to_owned());
        }
        Ok(())
    }

    fn mail(&self, sender: Option<Address>, recipients: &[Address], terms: Terms<'_>) -> Mail {
        let international = terms.international || sender.iter().chain(recipients).any(|address| !is_ascii(address));
        let size =
            usize::try_from(terms.size).ok().filter(|_| self.capabilities.declares_size).map(MailParameter::Size);
        let body = terms.eight_bit.then_some(MailParameter::Body(MailBodyParameter::EightBitMime));
        let utf8 = international.then_some(MailParameter::SmtpUtfEight); // RFC 6531 §3.4
        let dsn = terms.dsn.filter(|_| self.capabilities.dsn).map(dsn::mail).unwrap_or_default();
        Mail::new(sender, [size, body, utf8].into_iter().flatten().chain(dsn).collect())
    }

    /// MAIL and all RCPTs: in groups whose replies fit into the socket's buffers (RFC 2920 §3.1), or one by one.
    async fn converse(
        &mut self,
        mail: Mail,
        recipients: Vec<Address>,
        dsn: Option<&Dsn>,
    ) -> Result<Vec<Result<(), Refusal>>, Error> {
        let parameters = |to: &Address| -> Vec<RcptParameter> { dsn.map(|dsn| dsn::rcpt(dsn, to)).unwrap_or_default() };
        let commands: Vec<String> = std::iter::once(mail.to_string())
            .chain(recipients.into_iter().map(|to| Rcpt::new(to.clone(), parameters(&to)).to_string()))
            .collect();
        let mut verdicts = Vec::with_capacity(commands.len());
        for group in commands.chunks(if self.capabilities.pipelining { SMTP_PIPELINE } else { 1 }) {
            self.send(group.concat().as_bytes()).await?;
            // RFC 2920 §3.1: every reply is read, also those behind a refused MAIL, or the next ones are not ours.
            for _ in group {
                let answer = self.reply().await?;
                verdicts.push(self.verdict(&answer)?);
                self.wire.phase = Phase::Rcpt;
            }
            if let Some(Err(refusal)) = verdicts.first() {
                let refusal = refusal.clone();
                self.reset_quietly().await;
                return Err(Error::refused(ProbeCode::MessageRejected, Phase::Mail, refusal));
            }
        }
        Ok(verdicts.split_off(1))
    }

    /// 2yz accepts, 4yz and 5yz refuse; 3yz has no meaning here, and 421 ends the connection with all that was said.
    fn verdict(&mut self, answer: &reply::Raw) -> Result<Result<(), Refusal>, Error> {
        let code =
            if self.wire.phase == Phase::Mail { ProbeCode::MessageRejected } else { ProbeCode::RecipientRejected };
        match (answer.class(), answer.code) {
            (_, 421) => Err(self.refused(code, answer)),
            (2, _) => Ok(Ok(())),
            (4 | 5, _) => Ok(Err(self.refusal(answer))),
            _ => {
                self.broken = true;
                Err(self.refused(code, answer))
            }
        }
    }

    /// After a transaction that nobody was accepted in; a failure shows in [`Client::is_usable`].
    async fn reset_quietly(&mut self) {
        if let Err(error) = self.reset().await {
            self.broken = true;
            tracing::debug!(code = ?error.code, "RSET failed");
        }
    }
}

impl<'c, S: Stream> Transaction<'c, S> {
    /// Moves the deadline: the envelope belongs to one budget, the message to another.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.client.set_deadline(deadline);
    }

    /// DATA, up to 354 (RFC 5321 §4.1.1.4). It is never sent along with RCPT: a server that refused everybody might
    /// still say 354 (RFC 2920 §3.1).
    ///
    /// # Errors
    /// The server refused ([`ProbeCode::MessageRejected`], with its words), or the connection failed. Nothing was
    /// handed over.
    pub async fn start(self) -> Result<Ready<'c, S>, Error> {
        let client = self.client;
        client.wire.phase = Phase::Data;
        let answer = client.command(Data).await?;
        // 354 and nothing else: behind a 250 some servers would take the message for commands.
        if answer.code == 354 {
            client.broken = true;
            return Ok(Ready { client });
        }
        client.broken |= answer.class() < 4;
        let refused = client.refused(ProbeCode::MessageRejected, &answer);
        client.reset_quietly().await;
        Err(refused)
    }
}

impl<S: Stream> Ready<'_, S> {
    /// The message with its final dot, and the reply to it. The message has the deadline of the connection; the
    /// reply has `timeouts.dot`, whatever the deadline says, because to give up there is to not know.
    pub async fn finish(self, content: Content<'_>) -> Outcome {
        let client = self.client;
        let mut pieces = content.pieces().peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            if last && let Some(early) = client.early_reply().await {
                return early;
            }
            match client.wire.send(&piece).await {
                Ok(()) => {}
                Err(error) if last => return Outcome::Unknown(error),
                Err(error) => return client.early_reply().await.unwrap_or(Outcome::NotHandedOver(error)),
            }
        }
        client.settle().await
    }
}

impl<S: Stream> Client<S> {
    /// A reply before the final dot: a refusal counts (the server saw enough), anything else is out of step. And a
    /// server that has closed cannot take the message any more.
    async fn early_reply(&mut self) -> Option<Outcome> {
        let answer = match self.wire.arrived() {
            Ok([]) => return None,
            Ok(_) => reply::read(&mut self.wire).await,
            Err(closed) => Err(closed),
        };
        Some(match answer {
            Ok(answer) if answer.class() >= 4 => Outcome::Refused(self.refusal(&answer)),
            Ok(answer) => Outcome::NotHandedOver(self.refused(ProbeCode::ProtocolError, &answer)),
            Err(error) => Outcome::NotHandedOver(error),
        })
    }

    /// The reply to the final dot. Only 250 says sent (RFC 5321 §4.3.2).
    async fn settle(&mut self) -> Outcome {
        let deadline = self.wire.deadline();
        self.wire.set_deadline(Deadline::after(self.timeouts.dot));
        self.wire.set_patience(self.timeouts.dot);
        let answer = self.reply().await;
        self.wire.set_patience(self.timeouts.reply);
        self.wire.set_deadline(deadline);
        match answer {
            Ok(answer) if answer.code == 250 => Outcome::Sent(answer.cleaned(&self.secrets)),
            Ok(answer) if answer.class() >= 4 => Outcome::Refused(self.refusal(&answer)),
            Ok(answer) => {
                self.broken = true;
                Outcome::Unknown(self.refused(ProbeCode::ProtocolError, &answer))
            }
            Err(error) => Outcome::Unknown(error),
        }
    }
}

/// An address as it may stand in a command; its domain in ASCII (RFC 5891), its local part too unless the server
/// offers SMTPUTF8 (RFC 6531 §3.1).
fn address(text: &str, smtputf8: bool) -> Result<Address, Refusal> {
    let malformed = || ours("this is no mail address");
    let (local, domain) = text.rsplit_once('@').ok_or_else(malformed)?;
    let domain = if domain.is_ascii() {
        domain.to_owned()
    } else {
        url::Host::parse(domain).map_err(|_| malformed())?.to_string()
    };
    if !local.is_ascii() && !smtputf8 {
        return Err(ours("the server does not take international addresses (SMTPUTF8)"));
    }
    let address = Address::new(local, domain).map_err(|_| malformed())?;
    // Inside quotes RFC 5321 §4.1.2 allows more; a path with these in it is read differently by different servers.
    if address.user().chars().any(|c| c.is_control() || "<>".contains(c)) { Err(malformed()) } else { Ok(address) }
}

fn is_ascii(address: &Address) -> bool {
    address.user().is_ascii() && address.domain().is_ascii()
}

fn ours(text: &str) -> Refusal {
    Refusal { code: None, enhanced: None, text: text.to_owned() }
}
