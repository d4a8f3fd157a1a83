use super::*;

/// Mails as services write them: subject, text, and the code; none where there is no code.
const CODES: [(&str, &str, Option<&str>); 48] = [
    (
        "Your verification code",
        "Hi Ada,\n\nYour verification code is 482913.\nIt expires in 10 minutes.\n\n© 2026 Example Inc., 1600 Market Street, Springfield 94043",
        Some("482913"),
    ),
    (
        "482913 is your Example code",
        "Someone tried to sign in.\nIf this was not you, call +1 650 253 0000.",
        Some("482913"),
    ),
    (
        "Sign in to Example",
        "Enter this code to sign in:\n\n    739 204\n\nThis code will expire in 15 minutes.",
        Some("739204"),
    ),
    (
        "Your login code",
        "Use the following one-time passcode:\n\n123-456\n\nRequested on 2026-11-21 from 203.0.113.7",
        Some("123456"),
    ),
    ("Google Verification Code", "G-551204 is your Google verification code.", Some("551204")),
    (
        "[GitHub] Please verify your device",
        "Verification code: 90817263\n\nIf you did not attempt to sign in, visit https://github.com/settings/security?ref=123456",
        Some("90817263"),
    ),
    ("Device login", "Enter this code in your browser:\n\nWDJB-MJHT\n", Some("WDJB-MJHT")),
    (
        "Slack confirmation code: X7K-9QP",
        "Your confirmation code is below — enter it in your open browser window.\n\nX7K9QP\n\nIf you did not request this email, ignore it.",
        Some("X7K9QP"),
    ),
    (
        "OTP for your transaction",
        "Dear customer, 7741 is the OTP for your purchase of INR 2,499.00 at SHOP on 21-11-2026. Do not share it.",
        Some("7741"),
    ),
    ("Your PIN", "Your PIN: 0042", Some("0042")),
    (
        "Ihr Sicherheitscode",
        "Guten Tag,\n\nIhr Sicherheitscode lautet 615243. Er ist 30 Minuten gültig.\nKundennummer: 88231234\nTelefon 030 1234567",
        Some("615243"),
    ),
    ("Bestätigungscode", "Ihr Bestätigungscode:\n\n4 8 1 5 1 6\n\nBestellung 20261121 vom 21.11.2026", Some("481516")),
    (
        "Ihre mTAN",
        "Ihre TAN für die Überweisung über 1.250,00 EUR an Muster GmbH, IBAN DE89370400440532013000: 334455",
        Some("334455"),
    ),
    (
        "Votre code de vérification",
        "Bonjour,\n\nVotre code de vérification est : 902 113\n\nCe code expire dans 10 minutes. Commande n° 20260017",
        Some("902113"),
    ),
    ("Código de verificación", "Tu código de verificación es 660128. No lo compartas con nadie.", Some("660128")),
    ("Seu código", "Seu código de acesso é 318840", Some("318840")),
    ("Il tuo codice", "Il codice di verifica è:\n\n  550017  \n\nOrdine 12345678", Some("550017")),
    ("Kod weryfikacyjny", "Twój kod weryfikacyjny to 771203. Zamówienie 99887766.", Some("771203")),
    ("Uw verificatiecode", "Uw verificatiecode: 120985 (geldig tot 14:30)", Some("120985")),
    ("Din kod", "Din engångskod är 884213", Some("884213")),
    (
        "Код подтверждения",
        "Ваш код подтверждения: 407781. Никому его не сообщайте. Тел. 8 800 555 35 35",
        Some("407781"),
    ),
    ("您的验证码", "【示例】您的验证码是123987，5分钟内有效。客服电话4008001234", Some("123987")),
    ("認証コードのお知らせ", "認証コード：558201\n有効期限は10分です。", Some("558201")),
    ("인증번호 안내", "인증번호는 640023 입니다.", Some("640023")),
    ("Doğrulama kodu", "Doğrulama kodunuz: 209913", Some("209913")),
    ("Your code is 2024", "Your code is 2024", Some("2024")),
    ("Welcome", "Verification code\n\n| 884 102 |\n\nCopyright 2026 Example", Some("884102")),
    ("Reset your password", "Password reset code: A1B2C3\nYour account number 55512345 was used.", Some("A1B2C3")),
    ("Two-factor authentication", "Your 2FA token is 030303", Some("030303")),
    (
        "Your order 48291377",
        "Thank you for your order 48291377 of 21 November 2026.\nTotal: 129.90 EUR. Invoice 20260042.\nCall us: 0800 123456",
        None,
    ),
    ("Invoice 2026-0042", "Invoice number 20260042, customer 104477, due 2026-12-05, amount 1,250.00 USD.", None),
    ("20% off", "Use promo code SAVE20 or voucher code 884213 by 2026!", None),
    ("Newsletter November 2026", "What happened in 2025 and 2026: 10000 users, 150000 mails. Copyright 2026.", None),
    ("Your parcel", "Tracking number 12345678. Delivered 14:30 on 21/11/2026 at ZIP code 94043.", None),
    ("Meeting", "Room 1204, dial-in +49 30 123456, starts 10:00, 2026-11-21.", None),
    ("Error in production", "Error code 500123 occurred 2026 times. Ticket 77441.", None),
    ("Ticket #482913", "We have received your request 482913. Reference: 99112233.", None),
    ("Terms", "Our source code of conduct 2026 was updated.", None),
    ("Hello", "The meeting is in 2027. See you!", None),
    ("Your code", "Verify your email address by clicking the link: https://example.com/verify?code=123456", None),
    ("Statement", "Your account ending 4421 was charged $1234 on 11/21.", None),
    ("Kontoauszug", "Ihr Kontostand beträgt 123456 €. Rufnummer 0301234567.", None),
    ("Verify your account", "Please verify your account within 48 hours. Case 123456.", None),
    ("Your code expires in 3600 seconds", "Open the app to see it.", None),
    ("Your security code", "Here is your security code for 21.11.2026:\n\n  006 712\n\nValid 15 min.", Some("006712")),
    ("Login", "Code: 12345678. Order 87654321.", Some("12345678")),
    ("Access", "Your single-use code is: 7Q2M9X", Some("7Q2M9X")),
    ("Confirm", "To confirm, enter 55123 as verification code in the app.", Some("55123")),
];

#[test]
fn codes_are_found_and_other_numbers_are_not_taken_for_them() {
    let wrong: Vec<String> = CODES
        .iter()
        .filter_map(|(subject, text, wanted)| {
            let found = code(subject, text);
            (found.as_deref() != *wanted).then(|| format!("{subject}: {found:?} instead of {wanted:?}"))
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn hostile_texts_complete() {
    for text in [
        "1 ".repeat(200_000),
        "code ".repeat(50_000),
        "A1".repeat(100_000),
        "12-".repeat(50_000),
        "\n123456".repeat(20_000),
    ] {
        let _ = code("code", &text[..text.len().min(TEXT_BYTES)]);
        let _ = link(&text, &text);
    }
    let _ = link(&"<a href=\"".repeat(20_000), &"http://x ".repeat(20_000));
}

#[test]
fn links_that_confirm_are_found_and_never_those_that_end_things() {
    let page = |links: &[(&str, &str)]| {
        links
            .iter()
            .map(|(url, name)| format!("<p>x <a style=\"color:red\" href=\"{url}\" target=\"_blank\">{name}</a></p>"))
            .collect::<String>()
    };
    let verify = "https://example.com/account/verify?token=8f2c1d&amp;user=7";
    let html = page(&[
        ("https://example.com/", "Example"),
        (verify, "<b>Confirm</b> my address"),
        ("https://example.com/unsubscribe?token=0123456789abcdef0123", "unsubscribe"),
        ("https://example.com/help/login", "Help"),
    ]);
    assert_eq!(link(&html, "").as_deref(), Some("https://example.com/account/verify?token=8f2c1d&user=7"));
    for (name, url) in [
        ("E-Mail-Adresse bestätigen", "https://click.example.com/ls/click?upn=0123456789abcdef"),
        ("Activer mon compte", "https://example.fr/a/1"),
        ("Restablecer contraseña", "https://example.es/r/1"),
        ("Potwierdź adres", "https://example.pl/p/1"),
        ("确认邮箱", "https://example.cn/c/1"),
        ("Click here", "https://example.com/auth/magic/0123456789abcdef01"),
        ("Sign in", "https://example.com/x"),
    ] {
        let html = page(&[("https://example.com/about", "About us"), (url, name)]);
        assert_eq!(link(&html, "").as_deref(), Some(url), "{name}");
    }
    let text = "Please confirm your address:\n\n  <https://example.com/c/0123456789abcdef>.\n\nPrivacy: https://example.com/privacy";
    assert_eq!(link("", text).as_deref(), Some("https://example.com/c/0123456789abcdef"));
    let footnotes = "[Confirm][1] it.\n\n[1]: https://example.com/confirm/1";
    assert_eq!(link("", footnotes).as_deref(), Some("https://example.com/confirm/1"));
    assert_eq!(link(&page(&[("https://example.com/news", "Read more")]), "https://example.com/news"), None);
    assert_eq!(link(&page(&[("javascript:verify()", "Verify")]), ""), None);
}

#[test]
fn a_pattern_gives_its_first_group() {
    let words = Words { subject: "Case ABC-12", text: "Ref: X99\nBye", html: "" };
    let extract = |pattern: &str| Extract::read(&ExtractInput::Pattern(pattern.into())).map(|it| it.from(&words));
    assert_eq!(extract(r"Case ([A-Z]+)-\d+").unwrap().as_deref(), Some("ABC"));
    assert_eq!(extract(r"X\d+").unwrap().as_deref(), Some("X99"));
    assert_eq!(extract(r"nothing").unwrap(), None);
    assert!(extract("(").is_err());
    assert!(extract(&"x".repeat(501)).is_err());
    assert!(extract("(a{500}){500}").is_err());
}
