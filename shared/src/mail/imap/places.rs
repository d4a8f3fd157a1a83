//! Which folder is for what: the server's own word (RFC 6154 §2), else well-known names.

use super::{Folder, SpecialUse};
use crate::mail::error::Error;
use crate::model::{Phase, ProbeCode};

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

/// Names of the folder with spam, the likeliest first.
const JUNK: &[&str] = &[
    "junk",
    "spam",
    "junk e-mail",
    "junk email",
    "junk mail",
    "bulk mail",
    "junk-e-mail",
    "unerwünscht",
    "werbung",
    "spamverdacht",
    "courrier indésirable",
    "indésirables",
    "pourriel",
    "correo no deseado",
    "correo basura",
    "lixo eletrônico",
    "lixo eletrónico",
    "posta indesiderata",
    "ongewenste e-mail",
    "ongewenst",
    "skräppost",
    "søppelpost",
    "uønsket e-mail",
    "roskaposti",
    "wiadomości-śmieci",
    "nevyžádaná pošta",
    "levélszemét",
    "önemsiz e-posta",
    "спам",
    "迷惑メール",
    "垃圾邮件",
    "垃圾郵件",
    "정크 메일",
];

/// Names of the folder with deleted messages, the likeliest first.
const TRASH: &[&str] = &[
    "trash",
    "deleted items",
    "deleted messages",
    "deleted",
    "bin",
    "papierkorb",
    "gelöschte elemente",
    "gelöschte objekte",
    "gelöscht",
    "corbeille",
    "éléments supprimés",
    "papelera",
    "elementos eliminados",
    "lixeira",
    "itens excluídos",
    "itens eliminados",
    "cestino",
    "posta eliminata",
    "elementi eliminati",
    "prullenbak",
    "verwijderde items",
    "papperskorgen",
    "borttagna objekt",
    "papirkurv",
    "slettet post",
    "slettede elementer",
    "roskakori",
    "poistetut",
    "kosz",
    "elementy usunięte",
    "koš",
    "odstraněná pošta",
    "lomtár",
    "törölt elemek",
    "çöp kutusu",
    "silinmiş öğeler",
    "корзина",
    "удаленные",
    "ゴミ箱",
    "削除済みアイテム",
    "已删除邮件",
    "刪除的郵件",
    "휴지통",
];

/// Names of the folder with drafts, the likeliest first.
const DRAFTS: &[&str] = &[
    "drafts",
    "draft",
    "entwürfe",
    "brouillons",
    "borradores",
    "rascunhos",
    "bozze",
    "concepten",
    "utkast",
    "kladder",
];

/// Names of the archive, the likeliest first.
const ARCHIVE: &[&str] = &["archive", "archives", "archiv", "archivo", "arquivo", "archivio", "archief", "arkiv"];

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

/// The folder for this use; none where the server has none.
pub fn special(folders: &[Folder], wanted: SpecialUse) -> Option<&Folder> {
    let names = match wanted {
        SpecialUse::All => ALL,
        SpecialUse::Archive => ARCHIVE,
        SpecialUse::Drafts => DRAFTS,
        SpecialUse::Flagged => &[],
        SpecialUse::Junk => JUNK,
        SpecialUse::Sent => SENT,
        SpecialUse::Trash => TRASH,
    };
    find(folders, wanted, names)
}

/// What the settings of an account mean at its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This folder.
    Folder(String),
    /// Nothing: the server has no folder for this.
    Missing(String),
}

impl Choice {
    /// Its name; an error where the server has no such folder.
    pub fn found(self) -> Result<String, Error> {
        match self {
            Self::Folder(name) => Ok(name),
            Self::Missing(wanted) => Err(missing(&wanted)),
        }
    }
}

/// The error that the server has no folder of this kind.
pub fn missing(wanted: &str) -> Error {
    Error::new(ProbeCode::ProtocolError, Phase::List, format!("the server has no folder for {wanted}"))
}

/// All folders, in settings.
pub const EVERY: &str = "*";

/// Whether settings are names of folders only, so that LIST need not be asked.
pub fn are_names(wanted: &[String]) -> bool {
    wanted.iter().all(|wanted| wanted != EVERY && !wanted.starts_with('\\'))
}

/// The folders that settings mean, each once, in their order: names, special uses such as `\Junk` (RFC 6154 §2), or `*`
/// for all. All are those that hold messages of their own: what shows messages of other folders, such as Gmail's All
/// Mail, would bring each of them twice.
pub fn chosen(wanted: &[String], listed: &[Folder]) -> Vec<Choice> {
    let mut chosen = Vec::new();
    for wanted in wanted {
        let found: Vec<String> = match SpecialUse::named(wanted) {
            _ if wanted == EVERY => listed
                .iter()
                .filter(|folder| is_usable(folder) && !is_view(folder))
                .map(|folder| folder.name.clone())
                .collect(),
            Some(usage) => special(listed, usage).map(|folder| folder.name.clone()).into_iter().collect(),
            None => vec![wanted.clone()],
        };
        if found.is_empty() {
            chosen.push(Choice::Missing(wanted.clone()));
        }
        for name in found {
            let choice = Choice::Folder(name);
            if !chosen.contains(&choice) {
                chosen.push(choice);
            }
        }
    }
    chosen
}

/// Whether a folder only shows messages of others (RFC 6154 §2, RFC 8457 §4).
fn is_view(folder: &Folder) -> bool {
    matches!(folder.special_use, Some(SpecialUse::All | SpecialUse::Flagged))
        || folder.attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case(r"\Important"))
}

impl SpecialUse {
    /// All of them.
    pub const EVERY: [Self; 7] =
        [Self::All, Self::Archive, Self::Drafts, Self::Flagged, Self::Junk, Self::Sent, Self::Trash];

    /// The attribute's name (RFC 6154 §2), as settings give it: `\Junk`.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::All => r"\All",
            Self::Archive => r"\Archive",
            Self::Drafts => r"\Drafts",
            Self::Flagged => r"\Flagged",
            Self::Junk => r"\Junk",
            Self::Sent => r"\Sent",
            Self::Trash => r"\Trash",
        }
    }

    /// The use of this name, in any letter case.
    pub fn named(attribute: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|usage| usage.attribute().eq_ignore_ascii_case(attribute))
    }
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
pub fn is_usable(folder: &Folder) -> bool {
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
    fn settings_mean_names_uses_or_all_that_hold_messages() {
        let listed = [
            folder("INBOX", None, &[]),
            folder("Spam", None, &[]),
            folder("Everything", Some(SpecialUse::All), &[]),
            folder("Top", None, &[r"\Noselect"]),
            folder("Wichtig", None, &[r"\Important"]),
            folder("Weg", Some(SpecialUse::Trash), &[]),
        ];
        let means = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|wanted| (*wanted).to_owned()).collect();
            let named = are_names(&wanted);
            (chosen(&wanted, if named { &[] } else { &listed }), named)
        };
        let folders = |names: &[&str]| names.iter().map(|name| Choice::Folder((*name).to_owned())).collect::<Vec<_>>();
        assert_eq!(means(&["INBOX", "Nowhere", "INBOX"]), (folders(&["INBOX", "Nowhere"]), true));
        assert_eq!(means(&["*", "Spam"]), (folders(&["INBOX", "Spam", "Weg"]), false));
        assert_eq!(means(&[r"\junk", r"\Trash"]).0, folders(&["Spam", "Weg"]));
        assert_eq!(means(&[r"\Drafts"]).0, [Choice::Missing(r"\Drafts".to_owned())]);
    }

    #[test]
    fn every_name_is_in_lower_case_and_stands_once() {
        let mut names: Vec<_> = [SENT, ALL, JUNK, TRASH, DRAFTS, ARCHIVE].concat();
        assert!(names.iter().all(|name| name.to_lowercase() == *name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
