//! The invariants of sending (I6 to I8), judged from the end state alone: what the table says of each message, and what
//! the server has.

use std::collections::BTreeMap;

use serde_json::Value;

/// A message as the service has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its Message-ID.
    pub message_id: String,
    /// Its state.
    pub state: String,
    /// Each recipient with its state.
    pub recipients: Vec<(String, String)>,
}

/// A copy that the server took, for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivered {
    /// Its Message-ID.
    pub message_id: String,
    /// Who got it.
    pub recipient: String,
}

/// What there is when all is quiet.
#[derive(Debug, Clone, Default)]
pub struct EndState {
    /// Messages that callers were told to be accepted.
    pub accepted: usize,
    /// The rows.
    pub rows: Vec<Row>,
    /// What the server has.
    pub delivered: Vec<Delivered>,
}

/// What is wrong; all zero is what is promised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// I6: said to be sent, and the server has it not.
    pub lies: usize,
    /// I7: the server has it more than once.
    pub doubled: usize,
    /// Said to be neither sent nor unknown, and the server has it.
    pub denied: usize,
    /// I8: accepted without a row, or rows that nobody asked for.
    pub unaccounted: usize,
    /// Still waiting or being sent, or a message whose recipients do not add up to its state.
    pub unsettled: usize,
}

impl EndState {
    /// Judges.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut copies: BTreeMap<&Delivered, usize> = BTreeMap::new();
        for copy in &self.delivered {
            *copies.entry(copy).or_default() += 1;
        }
        let mut verdict = Verdict {
            doubled: copies.values().map(|count| count - 1).sum(),
            unaccounted: self.accepted.abs_diff(self.rows.len()),
            ..Verdict::default()
        };
        let mut known = 0;
        for row in &self.rows {
            for (recipient, state) in &row.recipients {
                let copy = Delivered { message_id: row.message_id.clone(), recipient: recipient.clone() };
                let has = copies.contains_key(&copy);
                known += usize::from(has);
                verdict.lies += usize::from(state == "sent" && !has);
                verdict.denied += usize::from(has && state != "sent" && state != "unknown");
            }
            let settled = ["sent", "failed", "unknown", "partial", "canceled"].contains(&row.state.as_str());
            let agree = row.state == "partial" || row.recipients.iter().all(|(_, state)| *state == row.state);
            verdict.unsettled += usize::from(!settled || !agree);
        }
        // A copy of a message that no row knows.
        verdict.unaccounted += copies.len() - known;
        verdict
    }

    /// How many messages ended in this state.
    #[must_use]
    pub fn count(&self, state: &str) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }
}

/// A row from an item of the table.
#[must_use]
pub fn row(item: &Value) -> Row {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let recipients = item["recipients"].as_array().into_iter().flatten();
    Row {
        message_id: text(&item["messageId"]),
        state: text(&item["state"]),
        recipients: recipients.map(|recipient| (text(&recipient["address"]), text(&recipient["state"]))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: &str, state: &str) -> Row {
        let recipients = vec![("a@example.com".to_owned(), state.to_owned())];
        Row { message_id: id.to_owned(), state: state.to_owned(), recipients }
    }

    fn has(id: &str) -> Delivered {
        Delivered { message_id: id.to_owned(), recipient: "a@example.com".to_owned() }
    }

    fn sound() -> EndState {
        EndState {
            accepted: 4,
            rows: vec![said("1", "sent"), said("2", "unknown"), said("3", "unknown"), said("4", "failed")],
            delivered: vec![has("1"), has("2")],
        }
    }

    fn wrong(state: &EndState, verdict: &Verdict) {
        assert_eq!(state.verdict(), *verdict, "{state:?}");
    }

    #[test]
    fn a_sound_state_has_no_faults_and_unknown_may_be_either() {
        wrong(&sound(), &Verdict::default());
    }

    #[test]
    fn each_lie_is_seen() {
        let mut state = sound();
        state.delivered.remove(0);
        wrong(&state, &Verdict { lies: 1, ..Verdict::default() });
        let mut state = sound();
        state.delivered.push(has("1"));
        wrong(&state, &Verdict { doubled: 1, ..Verdict::default() });
        state.delivered.push(has("2"));
        wrong(&state, &Verdict { doubled: 2, ..Verdict::default() });
        let mut state = sound();
        state.delivered.push(has("4"));
        wrong(&state, &Verdict { denied: 1, ..Verdict::default() });
    }

    #[test]
    fn what_is_missing_or_too_much_is_seen() {
        let mut state = sound();
        state.rows.pop();
        wrong(&state, &Verdict { unaccounted: 1, ..Verdict::default() });
        let mut state = sound();
        state.delivered.push(has("5"));
        wrong(&state, &Verdict { unaccounted: 1, ..Verdict::default() });
        for restless in ["queued", "sending", "deferred"] {
            let mut state = sound();
            state.rows[3] = said("4", restless);
            wrong(&state, &Verdict { unsettled: 1, ..Verdict::default() });
        }
        let mut state = sound();
        state.rows[3].state = "sent".to_owned();
        wrong(&state, &Verdict { unsettled: 1, ..Verdict::default() });
    }
}
