//! What a server offers in its answer to EHLO (RFC 5321 §4.1.1.1).

use bytes::Bytes;

/// The extensions that matter to us. All of it is forgotten with STARTTLS (RFC 3207 §4.2) and asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Largest message in bytes, where the server names a limit (RFC 1870 §4: none and 0 mean no fixed one).
    pub size: Option<u64>,
    /// The server understands `SIZE=` in MAIL (RFC 1870 §5).
    pub declares_size: bool,
    /// Several commands may be sent at once (RFC 2920).
    pub pipelining: bool,
    /// Bytes above 127 are allowed in a message (RFC 6152).
    pub eight_bit_mime: bool,
    /// Replies carry enhanced codes (RFC 2034).
    pub enhanced_status_codes: bool,
    /// Addresses may be international (RFC 6531).
    pub smtputf8: bool,
    /// Delivery status notifications (RFC 3461).
    pub dsn: bool,
    /// BDAT (RFC 3030); known, not used.
    pub chunking: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// SASL mechanisms in upper case (RFC 4954 §3).
    pub auth: Vec<String>,
}

impl Capabilities {
    /// Reads the lines of a 250 reply to EHLO; the first one is the server's name.
    pub(in crate::mail) fn read(lines: &[Bytes]) -> Self {
        let mut offered = Self::default();
        for line in lines.iter().skip(1) {
            let line = String::from_utf8_lossy(line).to_ascii_uppercase();
            // Old Exchange servers wrote `AUTH=LOGIN` beside or instead of `AUTH LOGIN`.
            let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
            match words.next().unwrap_or_default() {
                "SIZE" => {
                    offered.declares_size = true;
                    offered.size = words.next().and_then(|limit| limit.parse().ok()).filter(|&limit| limit > 0);
                }
                "PIPELINING" => offered.pipelining = true,
                "8BITMIME" => offered.eight_bit_mime = true,
                "ENHANCEDSTATUSCODES" => offered.enhanced_status_codes = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "DSN" => offered.dsn = true,
                "CHUNKING" => offered.chunking = true,
                "STARTTLS" => offered.starttls = true,
                "AUTH" => offered.auth.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        offered.auth.sort_unstable();
        offered.auth.dedup();
        offered
    }
}
