//! Stored mail and files, and what moves mail now.

use super::{CURSOR, FIELDS, INLINE, LIMIT, Parameter, Route, answer, bare, query, route};
use crate::model::principal::Scope;

/// The dialogue with the server.
const DEBUG: Parameter = query("debug", "true: the answer tells what was said to the mail server, without secrets.");

/// Pull one mailbox.
pub const PULL: Route = Route {
    scope: Some(Scope::Send),
    parameters: &[DEBUG],
    answers: &[answer(200, "What was stored.", "PulledNow")],
    problems: &[404, 409, 422, 502, 503, 504],
    ..route("POST", "/v1/accounts/{account}/pull", "pull", "pullAccount", "Pull a mailbox now")
};

/// Pull all mailboxes.
pub const PULL_ALL: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "Every receiving account was queued.", "QueuedPulls")],
    problems: &[503],
    ..route("POST", "/v1/pull", "pull", "pullAll", "Queue a pull of every mailbox")
};

/// Announce again what is stored, and ask the server for what is not.
pub const REWIND: Route = Route {
    scope: Some(Scope::Send),
    request: Some("RewindInput"),
    answers: &[answer(200, "What was announced again; a worker pulls the mailbox from its beginning.", "Rewound")],
    problems: &[400, 404, 409, 413, 415, 422],
    ..route(
        "POST",
        "/v1/accounts/{account}/rewind",
        "pull",
        "rewindAccount",
        "Go back to a time or a message: what came since is announced again, by the same event ids",
    )
};

/// Read stored messages again.
pub const REPARSE: Route = Route {
    scope: Some(Scope::Send),
    request: Some("ReparseInput"),
    answers: &[answer(200, "What was read again.", "Reparsed")],
    problems: &[400, 404, 409, 413, 415, 422],
    ..route(
        "POST",
        "/v1/accounts/{account}/reparse",
        "pull",
        "reparseMessages",
        "Read stored messages again from their source; quarantined ones come back once they can be read",
    )
};

/// Let go of what the caller has.
pub const ACKNOWLEDGE: Route = Route {
    scope: Some(Scope::Send),
    request: Some("AcknowledgeInput"),
    answers: &[answer(200, "What is acknowledged; it can be repeated.", "Acknowledged")],
    problems: &[400, 404, 413, 415, 422],
    ..route(
        "POST",
        "/v1/accounts/{account}/acknowledge",
        "pull",
        "acknowledgeMessages",
        "Say which messages are in safety: with deleteWhenAcknowledged the next pull deletes them at the server",
    )
};

/// Send what waits of one account.
pub const PUSH: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "What came of it.", "Pushed")],
    problems: &[404],
    ..route("POST", "/v1/accounts/{account}/push", "pull", "pushAccount", "Send now what waits in an account's outbox")
};

/// Send what waits.
pub const PUSH_ALL: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "What came of it.", "Pushed")],
    ..route("POST", "/v1/push", "pull", "pushAll", "Send now what waits in the outbox")
};

/// Push and pull one account.
pub const SYNC: Route = Route {
    scope: Some(Scope::Send),
    parameters: &[DEBUG],
    answers: &[answer(200, "What came of both.", "Synced")],
    problems: &[404, 409, 422, 502, 503, 504],
    ..route("POST", "/v1/accounts/{account}/sync", "pull", "syncAccount", "Push and pull an account now")
};

/// Push and pull all accounts.
pub const SYNC_ALL: Route = Route {
    scope: Some(Scope::Send),
    answers: &[answer(200, "What was sent, and whose pull was queued.", "SyncedAll")],
    problems: &[503],
    ..route("POST", "/v1/sync", "pull", "syncAll", "Push now, and queue a pull of every mailbox")
};

/// Stored mail of an account.
pub const MESSAGES_LIST: Route = Route {
    parameters: &[
        LIMIT,
        CURSOR,
        query("folder", "Only this folder."),
        query("direction", "incoming or outgoing."),
        query("from", "From contains this, without regard to case."),
        query("to", "To or Cc contains this."),
        query("subject", "Subject contains this."),
        query("since", "Received at or after (RFC 3339)."),
        query("before", "Received before (RFC 3339)."),
        query(
            "q",
            "Words that must all stand in the message (subject, people, text, names of files): whole words in any letter \
             case, with or without accents. \"Words in quotation marks\" must follow one another; from:, to: and subject: \
             name a field. At most 16 words. Finds mail in both directions; a page may be shorter than its limit and have a \
             cursor, and notSearchedSince says where much was sent lately and is not all searched yet.",
        ),
        query("hasAttachments", "true or false."),
        query("unseen", "true: without the flag \\Seen; false: with it."),
        query("flagged", "true or false: with or without the flag \\Flagged."),
        query("answered", "true or false: with or without the flag \\Answered."),
        query(
            "flag",
            "Only with this flag or keyword, such as $Junk; of \\Draft and the like the backslash may be left out.",
        ),
        query("state", "Only in this state: received, quarantined, tooLarge, stalled, or that of an outgoing message."),
        query("correlationSource", "Only with this correlation.source."),
        query("correlationId", "Only with this correlation.id."),
        query("thread", "Only this threadId."),
        FIELDS,
    ],
    answers: &[answer(
        200,
        "A page of messages, newest first. Where a filter lets few through, it may have fewer than limit, or none, and \
         a cursor: 2,000 messages are looked at for one page.",
        "MessagePage",
    )],
    problems: &[404, 422],
    ..route("GET", "/v1/accounts/{account}/messages", "messages", "listMessages", "List stored mail")
};

/// A conversation.
pub const THREAD_GET: Route = Route {
    parameters: &[LIMIT, CURSOR, FIELDS],
    answers: &[answer(
        200,
        "The conversation, incoming and outgoing, oldest first: its newest messages on the first page.",
        "MessagePage",
    )],
    problems: &[404, 422],
    ..route("GET", "/v1/accounts/{account}/threads/{thread}", "messages", "getThread", "Read a conversation")
};

/// One stored message.
pub const MESSAGE_GET: Route = Route {
    parameters: &[FIELDS],
    answers: &[answer(200, "The message with its bodies and headers.", "MessageDetail")],
    problems: &[404, 422],
    ..route("GET", "/v1/accounts/{account}/messages/{id}", "messages", "getMessage", "Read a stored message")
};

/// A stored message as a page.
pub const MESSAGE_HTML: Route = Route {
    parameters: &[query(
        "remote",
        "block (the default): nothing is loaded from anywhere; allow: pictures are, over https, and their servers learn \
         who reads it when.",
    )],
    answers: &[bare(
        200,
        "text/html under a Content-Security-Policy that lets nothing run: safe HTML, or the text, with the message's own \
         pictures in it.",
    )],
    problems: &[404, 422],
    ..route(
        "GET",
        "/v1/accounts/{account}/messages/{id}/html",
        "messages",
        "getMessageHtml",
        "Read a stored message as a page that is safe to show",
    )
};

/// Wait for a message.
pub const AWAIT: Route = Route {
    request: Some("AwaitInput"),
    answers: &[answer(200, "The message, with what was extracted; or that none came in time.", "Awaited")],
    problems: &[400, 404, 409, 415, 422, 502, 503, 504],
    ..route(
        "POST",
        "/v1/accounts/{account}/await",
        "messages",
        "awaitMessage",
        "Wait up to 25 s for a matching message, and take a code or a link out of it",
    )
};

/// Changes a stored message, at its server too.
pub const MESSAGE_CHANGE: Route = Route {
    scope: Some(Scope::Send),
    request: Some("MessageChange"),
    answers: &[answer(200, "The message as it is now.", "Message")],
    problems: &[400, 404, 409, 415, 422, 502, 503, 504],
    ..route(
        "PATCH",
        "/v1/accounts/{account}/messages/{id}",
        "messages",
        "changeMessage",
        "Change a message's flags or folder, at its server too",
    )
};

/// Deletes a stored message at its server.
pub const MESSAGE_DELETE: Route = Route {
    scope: Some(Scope::Send),
    parameters: &[query("permanent", "true: for good, instead of moving it to Trash. POP3 knows nothing else.")],
    answers: &[answer(200, "What became of it. By its id it can still be read.", "Removed")],
    problems: &[404, 409, 422, 502, 503, 504],
    ..route(
        "DELETE",
        "/v1/accounts/{account}/messages/{id}",
        "messages",
        "deleteMessage",
        "Delete a message at its server",
    )
};

/// The folders of a mailbox.
pub const FOLDERS_LIST: Route = Route {
    answers: &[answer(200, "All folders, in the server's order.", "MailFolderPage")],
    problems: &[404, 422, 502, 503, 504],
    ..route(
        "GET",
        "/v1/accounts/{account}/folders",
        "messages",
        "listFolders",
        "List the mailbox's folders at its server",
    )
};

/// The source of a stored message.
pub const MESSAGE_SOURCE: Route = Route {
    parameters: &[INLINE],
    answers: &[bare(302, "A presigned URL, good for 15 minutes."), bare(200, "With inline: message/rfc822.")],
    problems: &[404, 413, 422],
    ..route(
        "GET",
        "/v1/accounts/{account}/messages/{id}/source",
        "messages",
        "getMessageSource",
        "Read a message's source, byte for byte",
    )
};

/// An attachment of a stored message.
pub const MESSAGE_ATTACHMENT: Route = Route {
    parameters: &[INLINE],
    answers: &[bare(302, "A presigned URL, good for 15 minutes."), bare(200, "With inline: the decoded bytes.")],
    problems: &[404, 413, 422],
    ..route(
        "GET",
        "/v1/accounts/{account}/messages/{id}/attachments/{part}",
        "messages",
        "getAttachment",
        "Read an attachment, decoded",
    )
};

/// Upload a file.
pub const FILE_CREATE: Route = Route {
    scope: Some(Scope::Send),
    request: Some("FileInput"),
    answers: &[
        answer(200, "It is there already.", "FileTicket"),
        answer(201, "A presigned PUT, good for 15 minutes, that takes this content only.", "FileTicket"),
    ],
    problems: &[400, 413, 415, 422],
    ..route("POST", "/v1/files", "send", "createFile", "Upload a file by a presigned URL, for attachments of any size")
};

/// Download a file.
pub const FILE_GET: Route = Route {
    parameters: &[INLINE, query("filename", "The name to save it under; left out: that of its upload.")],
    answers: &[bare(302, "A presigned URL, good for 15 minutes."), bare(200, "With inline: the bytes.")],
    problems: &[404, 422],
    ..route("GET", "/v1/files/{id}", "messages", "getFile", "Download a file")
};

/// A file for whoever has the link.
pub const LINK: Route = Route {
    scope: None,
    answers: &[bare(302, "A presigned URL, good for 15 minutes.")],
    problems: &[404],
    ..route("GET", "/f/{token}", "messages", "followLink", "Download a file that was too large for its message")
};
