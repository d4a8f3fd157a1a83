//! File names of strangers: what is stored and shown never names a path, a device or another type than it has
//! (RFC 2183 §2.3 leaves that to the receiver).

use icu_normalizer::ComposingNormalizerBorrowed;

/// What file systems take.
const MAX_BYTES: usize = 255;
/// Longest extension that survives the cut.
const MAX_EXTENSION: usize = 20;

/// Names of devices on Windows, with any extension.
const DEVICES: [&str; 24] = [
    "con", "prn", "aux", "nul", "com0", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt0",
    "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Extensions whose files run code when opened, scripts in the browser and macros included.
const DANGEROUS: [&str; 76] = [
    "ace",
    "ade",
    "adp",
    "apk",
    "app",
    "appx",
    "appxbundle",
    "bat",
    "cab",
    "chm",
    "cmd",
    "com",
    "cpl",
    "dll",
    "dmg",
    "docm",
    "dotm",
    "ex",
    "ex_",
    "exe",
    "gadget",
    "hta",
    "htm",
    "html",
    "img",
    "inf",
    "ins",
    "iso",
    "isp",
    "jar",
    "jnlp",
    "js",
    "jse",
    "lib",
    "lnk",
    "mde",
    "mht",
    "mhtml",
    "msc",
    "msi",
    "msix",
    "msixbundle",
    "msp",
    "mst",
    "nsh",
    "pif",
    "pkg",
    "potm",
    "ppam",
    "ppsm",
    "pptm",
    "ps1",
    "psm1",
    "py",
    "reg",
    "scf",
    "scr",
    "sct",
    "sh",
    "shb",
    "shtml",
    "svg",
    "swf",
    "sys",
    "url",
    "vb",
    "vbe",
    "vbs",
    "vhd",
    "vhdx",
    "vxd",
    "wsc",
    "wsf",
    "xhtml",
    "xlam",
    "xlsm",
];

/// Media types that say the same.
const DANGEROUS_TYPES: [&str; 15] = [
    "application/hta",
    "application/java-archive",
    "application/javascript",
    "application/vnd.microsoft.portable-executable",
    "application/x-bat",
    "application/x-dosexec",
    "application/x-executable",
    "application/x-ms-shortcut",
    "application/x-msdos-program",
    "application/x-msdownload",
    "application/x-sh",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/html",
    "text/javascript",
];

/// Makes a decoded name safe: composed Unicode (NFC), last piece of a path, no control characters, no direction
/// overrides, nothing that Windows forbids, at most 255 bytes with its extension. `None` if nothing is left.
pub(super) fn clean(name: &str) -> Option<String> {
    let name = ComposingNormalizerBorrowed::new_nfc().normalize(name);
    let last = name.rsplit(['/', '\\']).find(|piece| !is_dots(piece))?;
    let kept: String = last.chars().filter(|&c| !c.is_control() && !is_invisible(c)).map(printable).collect();
    let kept = kept.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if kept.is_empty() {
        return None;
    }
    let stem = kept.split('.').next().unwrap_or(kept).trim_end().to_ascii_lowercase();
    let prefix = if DEVICES.contains(&stem.as_str()) { "_" } else { "" };
    Some(cut(&format!("{prefix}{kept}")))
}

fn is_dots(piece: &str) -> bool {
    piece.chars().all(|c| c == '.' || c.is_whitespace())
}

fn printable(c: char) -> char {
    if ":*?\"<>|".contains(c) { '_' } else { c }
}

/// Direction marks and overrides, and characters of no width: with them `exe.fdp` looks like `pdf.exe`.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn cut(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= MAX_EXTENSION => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    format!("{}{extension}", super::cut(stem, MAX_BYTES - extension.len()))
}

/// Whether a file can be offered without a warning. `raw` is the name as it came, `start` the first decoded bytes.
pub fn is_safe(raw: &str, content_type: &str, start: &[u8]) -> bool {
    let hides = raw.chars().any(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\0'));
    // The last two, so that a file with two extensions is judged by both.
    let lower = raw.to_lowercase();
    let mut extensions = lower.split('.').skip(1).collect::<Vec<_>>().into_iter().rev().take(2);
    let dangerous = extensions.any(|extension| DANGEROUS.contains(&extension.trim()));
    !(hides
        || dangerous
        || DANGEROUS_TYPES.contains(&content_type)
        || content_type.contains("macroenabled")
        || runs(start))
}

/// Programs for Windows, and archives with a password, which no scanner can look into.
fn runs(start: &[u8]) -> bool {
    const ENCRYPTED: u8 = 1;
    let locked_zip = start.starts_with(b"PK\x03\x04") && start.get(6).is_some_and(|flags| flags & ENCRYPTED != 0);
    start.starts_with(b"MZ") || locked_zip
}
