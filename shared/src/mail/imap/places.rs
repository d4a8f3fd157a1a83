//! Which folder is for what: the server's own word (RFC 6154 §2), else well-known names.

use super::{Folder, SpecialUse};

/// Names of the Sent folder in lower case, the likeliest first: what Dovecot, Exchange, Outlook, Apple Mail, Thunderbird,
/// Roundcube and the large providers call it in their languages.
const SENT: &[&str] = &[
    "sent",
    "sent items",
    "sent messages",
    "sent mail",
    "sent-mail",
    "gesendet",
    "gesendete elemente",
    "gesendete objekte",
    "gesendete nachrichten",
    "envoyés",
    "éléments envoyés",
    "messages envoyés",
    "courrier envoyé",
    "objets envoyés",
    "enviados",
    "elementos enviados",
    "mensajes enviados",
    "correo enviado",
    "itens enviados",
    "mensagens enviadas",
    "e-mails enviados",
    "posta inviata",
    "inviati",
    "inviata",
    "elementi inviati",
    "messaggi inviati",
    "verzonden",
    "verzonden items",
    "verzonden objecten",
    "verzonden berichten",
    "skickat",
    "skickade objekt",
    "skickade meddelanden",
    "sendt",
    "sendt post",
    "sendte elementer",
    "sendte meldinger",
    "lähetetyt",
    "lähetetyt viestit",
    "wysłane",
    "elementy wysłane",
    "odeslané",
    "odeslaná pošta",
    "odoslané",
    "odoslaná pošta",
    "poslano",
    "elküldött",
    "elküldött elemek",
    "elküldött üzenetek",
    "trimise",
    "elemente trimise",
    "gönderilmiş öğeler",
    "gönderilmiş postalar",
    "gönderilenler",
    "απεσταλμένα",
    "отправленные",
    "надіслані",
    "изпратени",
    "送信済み",
    "送信済みメール",
    "送信済みアイテム",
    "已发送",
    "已发送邮件",
    "已傳送郵件",
    "寄件備份",
    "보낸편지함",
    "보낸 편지함",
];

/// Names of the folder with all messages: Gmail's, which says `\All` beside it wherever it is asked to.
const ALL: &[&str] = &["all mail", "alle nachrichten", "tous les messages"];

/// Levels under which folders hang that are no level of their own to anybody: INBOX, as the server's personal
/// namespace (RFC 2342 §5), and Gmail's.
const ROOTS: [&str; 3] = ["inbox", "[gmail]", "[google mail]"];

/// The folder with sent messages.
pub fn sent(folders: &[Folder]) -> Option<&Folder> {
    find(folders, SpecialUse::Sent, SENT)
}

/// The folder with all messages.
pub fn all(folders: &[Folder]) -> Option<&Folder> {
    find(folders, SpecialUse::All, ALL)
}

fn find<'a>(folders: &'a [Folder], wanted: SpecialUse, names: &[&str]) -> Option<&'a Folder> {
    let usable = || folders.iter().filter(|folder| is_usable(folder));
    // RFC 6154 §2: several may have one use. The first is as good as any.
    let said = usable().find(|folder| folder.special_use == Some(wanted));
    let rank = |folder: &Folder| {
        let name = leaf(folder)?.to_lowercase();
        // What the server says is for something else is not for this, whatever its name.
        folder.special_use.is_none().then(|| names.iter().position(|known| *known == name)).flatten()
    };
    let named = || usable().filter_map(|folder| Some((rank(folder)?, folder))).min_by_key(|(rank, _)| *rank);
    said.or_else(|| named().map(|(_, folder)| folder))
}

/// Whether messages can be in it (RFC 3501 §7.2.2, RFC 5258 §3).
fn is_usable(folder: &Folder) -> bool {
    !folder.attributes.iter().any(|attribute| {
        [r"\Noselect", r"\NonExistent"].iter().any(|unusable| attribute.eq_ignore_ascii_case(unusable))
    })
}

/// The name of a folder of the first level, roots aside: `Archive/Sent` is somebody's own.
fn leaf(folder: &Folder) -> Option<&str> {
    let Some(delimiter) = folder.delimiter else {
        return Some(&folder.name);
    };
    match folder.name.split_once(delimiter) {
        None => Some(&folder.name),
        Some((root, leaf)) if ROOTS.contains(&root.to_lowercase().as_str()) => {
            (!leaf.contains(delimiter)).then_some(leaf)
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, special_use: Option<SpecialUse>, attributes: &[&str]) -> Folder {
        let attributes = attributes.iter().map(|&attribute| attribute.to_owned()).collect();
        Folder { name: name.to_owned(), delimiter: Some('/'), attributes, special_use }
    }

    fn named(names: &[&str]) -> Vec<Folder> {
        names.iter().map(|name| folder(name, None, &[])).collect()
    }

    fn found(folders: &[Folder]) -> Option<&str> {
        sent(folders).map(|folder| folder.name.as_str())
    }

    #[test]
    fn the_servers_word_goes_before_any_name() {
        let folders = [folder("Sent", None, &[]), folder("Ausgang", Some(SpecialUse::Sent), &[])];
        assert_eq!(found(&folders), Some("Ausgang"));
        let unusable = [folder("Old", Some(SpecialUse::Sent), &[r"\noselect"]), folder("Sent", None, &[])];
        assert_eq!(found(&unusable), Some("Sent"));
        let other = [folder("Sent", Some(SpecialUse::Archive), &[])];
        assert_eq!(found(&other), None, "the server says what it is for");
    }

    #[test]
    fn well_known_names_are_found_in_any_case_and_under_the_usual_roots() {
        for name in ["Sent", "SENT ITEMS", "INBOX/Sent", "Inbox/Gesendete Elemente", "Éléments envoyés", "送信済み"]
        {
            assert_eq!(found(&named(&["INBOX", "Drafts", name, "Trash"])), Some(name), "{name}");
        }
        for name in ["Archive/Sent", "INBOX/2025/Sent", "Sent to Bob", "Unsent", "INBOX"] {
            assert_eq!(found(&named(&[name])), None, "{name}");
        }
        let several = named(&["Gesendete Objekte", "Sent Messages", "Sent"]);
        assert_eq!(found(&several), Some("Sent"), "the likeliest of several");
        let flat = [Folder { delimiter: None, ..folder("Sent", None, &[]) }];
        assert_eq!(found(&flat), Some("Sent"));
    }

    #[test]
    fn all_mail_is_said_or_gmails() {
        assert_eq!(all(&[folder("x", Some(SpecialUse::All), &[])]).map(|folder| folder.name.as_str()), Some("x"));
        assert!(all(&named(&["[Gmail]/All Mail"])).is_some() && all(&named(&["All"])).is_none());
    }

    #[test]
    fn every_name_is_in_lower_case_and_stands_once() {
        let mut names: Vec<_> = SENT.iter().chain(ALL).collect();
        assert!(names.iter().all(|name| name.to_lowercase() == **name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
