//! The link that a message asks its reader to follow: to confirm an address, activate an account, sign in or reset a
//! password. It is read, never visited.

use shared::mail::sanitize::unescaped;

/// Parts of words that such links have in what they are called or in their address.
const WANTED: [&str; 50] = [
    "verify",
    "verif",
    "confirm",
    "activat",
    "validate",
    "magic",
    "signin",
    "sign-in",
    "sign in",
    "login",
    "log in",
    "log-in",
    "reset",
    "set password",
    "set your password",
    "accept",
    "invitation",
    "one-time",
    "bestätig",
    "bestaetig",
    "aktivier",
    "anmelden",
    "einloggen",
    "zurücksetzen",
    "vérifi",
    "activer",
    "connexion",
    "réinitialis",
    "activar",
    "iniciar sesión",
    "restablecer",
    "ativar",
    "redefinir",
    "attiva",
    "accedi",
    "reimposta",
    "bevestig",
    "inloggen",
    "potwierd",
    "aktywuj",
    "zaloguj",
    "bekräfta",
    "bekræft",
    "vahvista",
    "подтверд",
    "активир",
    "doğrula",
    "确认",
    "验证",
    "認証",
];

/// Parts of words of links that stand in every mail.
const UNWANTED: [&str; 24] = [
    "unsubscribe",
    "abmelden",
    "abbestellen",
    "désinscri",
    "desuscri",
    "opt-out",
    "optout",
    "privacy",
    "datenschutz",
    "terms",
    "imprint",
    "impressum",
    "preferences",
    "support",
    "help",
    "hilfe",
    "facebook.",
    "twitter.",
    "instagram.",
    "linkedin.",
    "youtube.",
    "play.google",
    "apps.apple",
    "view in browser",
];

/// A longer line does not say what its links are called.
const LINE_BYTES: usize = 1_000;

/// The likeliest link, of cleaned HTML where there is some, else of the text.
pub(crate) fn link(html: &str, text: &str) -> Option<String> {
    let mut best: Option<(i32, String)> = None;
    for (url, name) in anchors(html).into_iter().chain(bare(text)) {
        let points = points(&url, &name);
        if points > 0 && best.as_ref().is_none_or(|(most, _)| points > *most) {
            best = Some((points, url));
        }
    }
    best.map(|(_, url)| url)
}

fn points(url: &str, name: &str) -> i32 {
    let (address, name) = (url.to_lowercase(), name.to_lowercase());
    // What stands behind the host says what it is for; the host belongs to all links of a mail.
    let path = address.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let has = |words: &[&str], text: &str| words.iter().any(|word| text.contains(word));
    if has(&UNWANTED, &name) || has(&UNWANTED, &address) {
        return 0;
    }
    let wanted = i32::from(has(&WANTED, &name)) * 4 + i32::from(has(&WANTED, path)) * 3;
    // Whoever sends such a link puts a secret into it.
    let secret = path.split(['/', '=', '&', '?', '-', '.', '#']).any(|word| word.len() >= 16);
    if wanted > 0 { wanted + i32::from(secret) * 2 } else { 0 }
}

/// Addresses of `<a href>` and what they are called. The HTML is our own: quoted and well nested.
fn anchors(html: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for piece in html.split("<a ").skip(1).take(500) {
        let (Some((tag, rest)), true) = (piece.split_once('>'), piece.contains("href=\"")) else {
            continue;
        };
        let url = tag.split_once("href=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(url, _)| url);
        let name = rest.split("</a>").next().unwrap_or_default();
        let name: String = name.split('<').map(|text| text.split_once('>').map_or(text, |(_, text)| text)).collect();
        if is_web(url) {
            found.push((unescaped(url), unescaped(&name)));
        }
    }
    found
}

/// Addresses that stand in a text, each called by the line before it and its own.
fn bare(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut before = "";
    for line in text.lines().filter(|line| !line.trim().is_empty()).take(500) {
        for word in line.split_whitespace() {
            let word = word.trim_start_matches(is_around).trim_end_matches(|c| is_around(c) || c == '.');
            if is_web(word) {
                let name = if line.len() <= LINE_BYTES { line.replace(word, "") } else { String::new() };
                let name = if name.trim().len() > 3 { name } else { before.to_owned() };
                found.push((word.to_owned(), name));
            }
        }
        before = line;
    }
    found
}

fn is_around(c: char) -> bool {
    "<>()[]\"'„“”,;".contains(c)
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}
