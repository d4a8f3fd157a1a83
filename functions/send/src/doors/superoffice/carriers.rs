//! The carriers of the EMail agent: their properties in the order of the documentation, and which kind each is of.
//! Reading, writing, `$select` and XML all follow these tables (contracts A2.3 to A2.5).

/// What a property holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A text, or null.
    Text,
    /// int32.
    Number,
    /// bool.
    Flag,
    /// A date-time, or null.
    Time,
    /// JSON of which no fields are documented; it is passed through (A2.5/50).
    Opaque,
    /// Always null in answers: rights are those of the installation that calls.
    Right,
    /// Another carrier, or null.
    One(&'static Carrier),
    /// A list of carriers; empty ones are left out (A2.5/51).
    Many(&'static Carrier),
    /// A list of carriers, each with an answer of its own.
    Each(&'static Carrier),
    /// A list of texts.
    Texts,
    /// A list of int32.
    Numbers,
}

/// A carrier.
#[derive(Debug)]
pub(super) struct Carrier {
    /// The name of its type, which is that of its XML element.
    pub(super) name: &'static str,
    /// Its properties.
    pub(super) properties: &'static [(&'static str, Kind)],
}

/// A2.3/14 to A2.3/16.
pub(super) const REQUEST: Carrier = Carrier {
    name: "SendEMailsRequest",
    properties: &[
        ("OutgoingConnectionInfo", Kind::One(&CONNECTION)),
        ("Emails", Kind::Each(&EMAIL)),
        ("SentItemsConnectionInfo", Kind::One(&CONNECTION)),
    ],
};

/// A2.3/17, A2.5/50.
pub(super) const CONNECTION: Carrier = Carrier {
    name: "EMailConnectionInfo",
    properties: &[
        ("ServerName", Kind::Text),
        ("UserName", Kind::Text),
        ("Password", Kind::Text),
        ("Folder", Kind::Text),
        ("UseSSL", Kind::Flag),
        ("UseGraphApi", Kind::Flag),
    ],
};

/// A2.4: 28 properties.
pub(super) const EMAIL: Carrier = Carrier {
    name: "EMail",
    properties: &[
        ("To", Kind::Many(&ADDRESS)),
        ("Cc", Kind::Many(&ADDRESS)),
        ("Bcc", Kind::Many(&ADDRESS)),
        ("Subject", Kind::Text),
        ("HTMLBody", Kind::Text),
        ("From", Kind::One(&ADDRESS)),
        ("Sent", Kind::Time),
        ("Size", Kind::Number),
        ("Priority", Kind::Text),
        ("Flags", Kind::Text),
        ("MessageID", Kind::Text),
        ("PlainBody", Kind::Text),
        ("IsSent", Kind::Flag),
        ("EMailSOInfo", Kind::Opaque),
        ("ServerId", Kind::Number),
        ("Attachments", Kind::Many(&ATTACHMENT)),
        ("CustomHeaderList", Kind::Many(&HEADER)),
        ("FolderName", Kind::Text),
        ("EmailItemId", Kind::Number),
        ("AccountId", Kind::Number),
        ("ReceivedAt", Kind::Time),
        ("InReplyTo", Kind::One(&ENVELOPE)),
        ("RepliedAt", Kind::Time),
        ("HasCalendarData", Kind::Flag),
        ("CalMethod", Kind::Text),
        ("CalReplyStatus", Kind::Text),
        ("TableRight", Kind::Right),
        ("FieldProperties", Kind::Right),
    ],
};

/// A2.5/47.
const ADDRESS: Carrier = Carrier {
    name: "EMailAddress",
    properties: &[
        ("ContactId", Kind::Number),
        ("ContactName", Kind::Text),
        ("PersonId", Kind::Number),
        ("PersonName", Kind::Text),
        ("AssociateId", Kind::Number),
        ("Address", Kind::Text),
        ("EmailId", Kind::Number),
        ("DuplicatePersonIds", Kind::Numbers),
        ("Name", Kind::Text),
        ("TableRight", Kind::Right),
        ("FieldProperties", Kind::Right),
    ],
};

/// A2.5/48.
const ATTACHMENT: Carrier = Carrier {
    name: "EMailAttachment",
    properties: &[
        ("Description", Kind::Text),
        ("Filename", Kind::Text),
        ("Size", Kind::Number),
        ("Type", Kind::Text),
        ("Encoding", Kind::Text),
        ("Id", Kind::Text),
        ("Disposition", Kind::Text),
        ("IsSafeFileExtension", Kind::Flag),
        ("Stream", Kind::Text),
        ("TableRight", Kind::Right),
        ("FieldProperties", Kind::Right),
    ],
};

/// A2.5/49.
const HEADER: Carrier = Carrier {
    name: "EMailCustomHeader",
    properties: &[
        ("Name", Kind::Text),
        ("Values", Kind::Texts),
        ("TableRight", Kind::Right),
        ("FieldProperties", Kind::Right),
    ],
};

/// A2.5/50. The seed names no fields: those that are known from elsewhere, so that their case does not matter either.
const ENVELOPE: Carrier = Carrier {
    name: "EMailEnvelope",
    properties: &[
        ("ServerId", Kind::Number),
        ("ServerIdentifier", Kind::Text),
        ("MessageId", Kind::Text),
        ("Subject", Kind::Text),
        ("From", Kind::One(&ADDRESS)),
        ("To", Kind::Many(&ADDRESS)),
        ("Sent", Kind::Time),
        ("Priority", Kind::Text),
        ("Flags", Kind::Text),
        ("Size", Kind::Number),
        ("EMailSOInfo", Kind::Opaque),
        ("TableRight", Kind::Right),
        ("FieldProperties", Kind::Right),
    ],
};

impl Carrier {
    /// The property of that name, whatever its case (A2.5/50b).
    pub(super) fn property(&self, name: &str) -> Option<(&'static str, Kind)> {
        self.properties.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).copied()
    }
}
