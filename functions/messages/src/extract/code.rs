//! One-time codes: a short run of digits, or of capitals and digits, that stands near a word for it.
//!
//! Every candidate gets points for its shape, for standing alone on its line, and for how near such a word is; years,
//! dates, amounts, telephone and order numbers lose them or are none. What has no such word near it is no code: a wrong
//! one would be typed into a form and lock somebody out.

/// Words for a code that stand for themselves, or within another one (`Bestätigungscode`).
const WITHIN: [&str; 40] = [
    "code",
    "passcode",
    "one-time",
    "one time",
    "verification",
    "verify",
    "gskod", // of Scandinavia: engångskod, säkerhetskod, bekreftelseskode
    "tskod",
    "eskod",
    "código",
    "codigo",
    "codice",
    "einmalpasswort",
    "einmalkennwort",
    "mot de passe à usage",
    "contraseña",
    "verificación",
    "verificação",
    "vérification",
    "verifica",
    "bestätigung",
    "bevestiging",
    "weryfikac",
    "hasło",
    "doğrulama",
    "şifre",
    "пароль",
    "код",
    "подтвержден",
    "验证码",
    "驗證碼",
    "校验码",
    "动态码",
    "コード",
    "認証番号",
    "確認番号",
    "暗証番号",
    "인증번호",
    "인증 번호",
    "인증 코드",
];

/// Short words for a code, which are parts of others (`shopping`).
const ALONE: [&str; 14] =
    ["otp", "pin", "tan", "mtan", "kod", "kode", "kodu", "kód", "kods", "koodi", "koden", "2fa", "token", "passwort"];

/// Words before a number that is another one, in the same line.
const OTHERS: [&str; 33] = [
    "order",
    "invoice",
    "ticket",
    "reference",
    "ref.",
    "case",
    "customer n",
    "customer id",
    "account number",
    "tracking",
    "phone",
    "tel",
    "fax",
    "call",
    "zip",
    "postcode",
    "postal",
    "promo",
    "voucher",
    "coupon",
    "discount",
    "gutschein",
    "rabatt",
    "error",
    "bestell",
    "rechnung",
    "auftrag",
    "kundennummer",
    "commande",
    "pedido",
    "factura",
    "ordine",
    "zamówieni",
];

/// What may stand between a word for the code and the code.
const LINKS: [&str; 22] = [
    "is",
    "are",
    "ist",
    "lautet",
    "est",
    "es",
    "è",
    "é",
    "to",
    "är",
    "er",
    "on",
    "是",
    "为",
    "は",
    "are:",
    "a",
    "this",
    "the",
    "following",
    "below",
    "num",
];

/// Points that a candidate needs.
const ENOUGH: i32 = 7;

/// The likeliest code of a message.
pub(crate) fn code(subject: &str, text: &str) -> Option<String> {
    let lines: Vec<Line> = std::iter::once(subject)
        .chain(text.lines())
        .map(without_addresses)
        .filter(|line| !line.trim().is_empty())
        .take(500)
        .map(|line| Line::read(&line))
        .collect();
    let mut best: Option<(i32, String)> = None;
    for (number, line) in lines.iter().enumerate() {
        for candidate in &line.candidates {
            let points = candidate.shape() + line.nearness(candidate) + around(&lines, number, candidate);
            if points >= ENOUGH && best.as_ref().is_none_or(|(most, _)| points > *most) {
                best = Some((points, candidate.value.clone()));
            }
        }
    }
    best.map(|(_, value)| value)
}

/// A line without links and addresses, whose numbers are nobody's code.
fn without_addresses(line: &str) -> String {
    let is_address = |word: &str| word.contains("://") || word.contains('@') || word.starts_with("www.");
    // A link of a text made of HTML: "[1]: https://…".
    line.split(' ').map(|word| if is_address(word) { "" } else { word }).collect::<Vec<_>>().join(" ")
}

/// A line in small letters, one character for each of the original.
struct Line {
    small: Vec<char>,
    /// Where words for a code stand: first character and the one behind the last.
    words: Vec<(usize, usize)>,
    candidates: Vec<Candidate>,
}

struct Candidate {
    value: String,
    start: usize,
    end: usize,
    /// Nothing else is on its line.
    alone: bool,
    digits_only: bool,
}

impl Line {
    fn read(line: &str) -> Self {
        let chars: Vec<char> = line.chars().take(1_000).collect();
        let small: Vec<char> = chars.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
        let mut words = Vec::new();
        for word in WITHIN {
            words.extend(places(&small, word));
        }
        for word in ALONE {
            let alone = |&(start, end): &(usize, usize)| {
                let letter = |at: Option<&char>| at.is_some_and(|c| c.is_alphabetic());
                !letter(start.checked_sub(1).and_then(|at| small.get(at))) && !letter(small.get(end))
            };
            words.extend(places(&small, word).into_iter().filter(alone));
        }
        let candidates = candidates(&chars);
        Self { small, words, candidates }
    }

    /// Points for the nearest word for a code on the same line, and for what else is said of the number.
    fn nearness(&self, candidate: &Candidate) -> i32 {
        let nearest = self.words.iter().map(|&(start, end)| {
            let before = candidate.start.checked_sub(end);
            let distance = before.or_else(|| start.checked_sub(candidate.end));
            match distance {
                Some(distance) if before.is_some() && self.is_linked(end, candidate.start) => {
                    8 - (distance > 20) as i32
                }
                Some(..=25) => 5,
                Some(..=120) => 3,
                _ => 0,
            }
        });
        nearest.max().unwrap_or(0) - self.strangeness(candidate)
    }

    /// Whether nothing stands between them but "is", a colon and the like.
    fn is_linked(&self, from: usize, to: usize) -> bool {
        let between: String = self.small.get(from..to).unwrap_or_default().iter().collect();
        let between = between.trim_start_matches(|c: char| c.is_alphabetic() && !c.is_ascii());
        between
            .split(|c: char| c.is_whitespace() || ":：=-–—\"'*«»„“”「」【】[]()>,.".contains(c))
            .all(|word| word.is_empty() || LINKS.contains(&word))
    }

    /// Points lost for what makes it another number.
    fn strangeness(&self, candidate: &Candidate) -> i32 {
        let before: String =
            self.small.get(candidate.start.saturating_sub(28)..candidate.start).unwrap_or_default().iter().collect();
        let after: String = self
            .small
            .get(candidate.end..(candidate.end + 12).min(self.small.len()))
            .unwrap_or_default()
            .iter()
            .collect();
        let named = OTHERS.iter().any(|word| before.contains(word)) || before.trim_end().ends_with(['#', '№']);
        let measured =
            ["min", "sec", "hour", "day", "%", "€", "$", "eur", "usd", "stunden", "sekunden", "tage", "px", "km"];
        let amount = measured.iter().any(|unit| after.trim_start().starts_with(unit))
            || before.trim_end().ends_with(['€', '$', '£', '¥'])
            || ["eur", "usd", "chf", "gbp"].iter().any(|unit| before.trim_end().ends_with(unit));
        let year = candidate.digits_only
            && candidate.value.len() == 4
            && (candidate.value.starts_with("19") || candidate.value.starts_with("20"));
        let copyright = before.contains('©') || before.contains("(c)") || before.contains("copyright");
        if amount || copyright {
            return 20;
        }
        let linked = self.words.iter().any(|&(_, end)| end <= candidate.start && self.is_linked(end, candidate.start));
        i32::from(named) * 9 + i32::from(year && !linked && !candidate.alone) * 6
    }
}

impl Candidate {
    fn shape(&self) -> i32 {
        let length = self.value.chars().filter(char::is_ascii_alphanumeric).count();
        let shape = match (self.digits_only, length) {
            (true, 6) => 3,
            (true, _) => 2,
            (false, _) => 2,
        };
        shape + i32::from(self.alone) * 2
    }
}

/// Points for words in the lines around, which count most for a number that has a line to itself.
fn around(lines: &[Line], number: usize, candidate: &Candidate) -> i32 {
    let has_word = |at: Option<usize>| at.and_then(|at| lines.get(at)).is_some_and(|line| !line.words.is_empty());
    let before = (1..=3).any(|back| has_word(number.checked_sub(back)));
    let after = has_word(Some(number + 1));
    match (candidate.alone, before, after) {
        (true, true, _) => 5,
        (true, false, true) => 4,
        (false, true, _) => 1,
        _ => 0,
    }
}

/// Where a word stands.
fn places(text: &[char], word: &str) -> Vec<(usize, usize)> {
    let word: Vec<char> = word.chars().collect();
    let starts = text.windows(word.len()).enumerate().filter(|(_, window)| **window == *word);
    starts.map(|(at, _)| (at, at + word.len())).collect()
}

/// Every run that can be a code: 4 to 8 digits, in one piece or in two equal ones; 4 to 10 capitals and digits with at
/// least one digit, or two pieces of four.
fn candidates(line: &[char]) -> Vec<Candidate> {
    let total = line.iter().filter(|c| c.is_alphanumeric()).count();
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.len() {
        if !line[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let mut pieces = vec![run(line, at)];
        // "123 456", "123-456", "WXYZ-1234", "1 2 3 4 5 6".
        while let Some(&(_, end)) = pieces.last()
            && line.get(end).is_some_and(|c| matches!(c, ' ' | '-' | '\u{a0}'))
            && line.get(end + 1).is_some_and(char::is_ascii_alphanumeric)
            && joins(line, &pieces, run(line, end + 1))
        {
            pieces.push(run(line, end + 1));
        }
        let (start, end) = (pieces[0].0, pieces[pieces.len() - 1].1);
        at = end;
        if is_part_of_more(line, start, end) {
            continue;
        }
        if let Some((value, digits_only)) = value(line, &pieces) {
            let mine = line[start..end].iter().filter(|c| c.is_alphanumeric()).count();
            found.push(Candidate { value, start, end, alone: mine == total, digits_only });
        }
    }
    found
}

fn run(line: &[char], start: usize) -> (usize, usize) {
    let length = line[start..].iter().take_while(|c| c.is_ascii_alphanumeric()).count();
    (start, start + length)
}

/// Whether a piece goes on with what comes before: digits with digits of as many, letters of codes only by a hyphen.
fn joins(line: &[char], pieces: &[(usize, usize)], next: (usize, usize)) -> bool {
    let Some(&last) = pieces.last() else {
        return false;
    };
    let digits = |(start, end): (usize, usize)| line[start..end].iter().all(char::is_ascii_digit);
    let capitals =
        |(start, end): (usize, usize)| line[start..end].iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let hyphen = line.get(last.1) == Some(&'-');
    let prefix = pieces.len() == 1 && last.1 - last.0 == 1 && hyphen && digits(next);
    let (length, following) = (last.1 - last.0, next.1 - next.0);
    prefix
        || digits(last) && digits(next)
        || (hyphen && length == 4 && following == 4 && capitals(last) && capitals(next))
}

/// Whether the run goes on in a way that makes it a date, a time, an amount, a telephone number or a word.
fn is_part_of_more(line: &[char], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| line.get(at)).copied().unwrap_or(' ');
    let earlier = start.checked_sub(2).and_then(|at| line.get(at)).copied().unwrap_or(' ');
    let after = line.get(end).copied().unwrap_or(' ');
    let later = line.get(end + 1).copied().unwrap_or(' ');
    let joint = |c: char| ".,:/-_".contains(c);
    let latin = |c: char| c.is_alphabetic() && !is_cjk(c);
    "+_/&=%".contains(before)
        || after == '_'
        || latin(before)
        || latin(after)
        || (joint(before) && earlier.is_ascii_alphanumeric())
        || (joint(after) && later.is_ascii_alphanumeric())
        || (before == ')' && earlier.is_ascii_digit())
}

/// Scripts without blanks between words.
fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{ff00}'..='\u{ffef}')
}

/// The code of some pieces, and whether it is of digits only.
fn value(line: &[char], pieces: &[(usize, usize)]) -> Option<(String, bool)> {
    let texts: Vec<String> = pieces.iter().map(|&(start, end)| line[start..end].iter().collect()).collect();
    let texts: &[String] = if texts.len() == 2 && texts[0].len() == 1 && texts[0].chars().all(char::is_alphabetic) {
        &texts[1..] // "G-123456"
    } else {
        &texts
    };
    let joined = texts.concat();
    let even = texts.iter().all(|text| text.len() == texts[0].len());
    if joined.bytes().all(|byte| byte.is_ascii_digit()) {
        let single = texts.len() > 2 && texts[0].len() == 1;
        let fits = (4..=8).contains(&joined.len()) && even && (single || texts.len() <= 2);
        return fits.then_some((joined, true));
    }
    let mixed =
        joined.bytes().any(|byte| byte.is_ascii_digit()) && joined.bytes().any(|byte| byte.is_ascii_uppercase());
    let capitals = joined.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    match texts {
        [one] if mixed && capitals && (4..=10).contains(&one.len()) => Some((joined, false)),
        [first, second] if capitals && first.len() == 4 && second.len() == 4 => Some((texts.join("-"), false)),
        _ => None,
    }
}
