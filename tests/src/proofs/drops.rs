//! P5: the connection ends in the middle of a message, three times in each, at any byte. No half message may be stored,
//! nothing may be deleted, and in the end all is there.

use sandbox::{At, Protocol, Rule};

use super::Plan;
use crate::corpus;
use crate::mailbox::{Judgement, Mailbox};
use crate::peer::Receive;
use crate::random::Random;
use crate::service::{Options, Service};

/// Cuts in each message.
pub const CUTS: usize = 3;

/// More than what IMAP says before a message: UID, flags, date, size.
const HEAD: usize = 250;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The end state, judged.
    pub end: Judgement,
    /// Connections that were cut.
    pub cuts: usize,
    /// Messages that had disappeared at the server while nothing had been completed.
    pub deleted_early: usize,
    /// All is as promised.
    pub kept: bool,
}

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let service = Service::start(Options::default()).await;
    let mut mailbox = Mailbox::open(&service, plan.kind, false).await;
    let sizes = (0..plan.messages).map(|_| usize::try_from(2_000 + random.below(20_000)).unwrap());
    let messages: Vec<_> = sizes
        .enumerate()
        .map(|(number, size)| corpus::with_attachment(number, "data.pdf", &Random::new(number as u64).bytes(size)))
        .collect();
    mailbox.deliver(&messages);
    let mut cuts = 0;
    for number in 0..messages.len() {
        for cut in 0..CUTS {
            let rule = match plan.kind.receive {
                Receive::Pop3 => in_retr(&messages, number, &mut random),
                Receive::Imap => in_fetch(&messages, number, cut, &mut random),
            };
            let fired = mailbox.sandbox().script(rule);
            let answer = mailbox.pull().await;
            assert_ne!(answer.status, 200, "message {number}, cut {cut}: {}", answer.text());
            assert_eq!(fired.count(), 1, "message {number}, cut {cut}");
            cuts += 1;
        }
    }
    let deleted_early = messages.len() - mailbox.remaining().len();
    let end = mailbox.judge().await;
    Report { kept: end.is_kept(&mailbox) && deleted_early == 0, end, cuts, deleted_early }
}

/// A place in this message.
fn place(message: &[u8], random: &mut Random) -> usize {
    usize::try_from(random.below((message.len() - HEAD) as u64)).unwrap()
}

/// The answer to the RETR of this very message (it is sent before or behind others, as the client likes).
fn in_retr(messages: &[Vec<u8>], number: usize, random: &mut Random) -> Rule {
    let command = format!("RETR {}\r\n", number + 1);
    let cut = place(&messages[number], random);
    Rule::on(Protocol::Pop3).at(At::Command("RETR")).matching(command).times(1).drop_after(cut)
}

/// One answer holds many messages; it begins with the first one that is not stored. A cut of the first kind ends in this
/// message while the one before is still to come.
fn in_fetch(messages: &[Vec<u8>], number: usize, cut: usize, random: &mut Random) -> Rule {
    let before = match number.checked_sub(1) {
        Some(before) if cut == 0 => messages[before].len() + HEAD,
        _ => 0,
    };
    let cut = before + place(&messages[number], random);
    Rule::on(Protocol::Imap).at(At::Command("UID FETCH")).matching("BODY.PEEK[]").times(1).drop_after(cut)
}
