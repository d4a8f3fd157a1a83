//! The table itself, from the providers' own help pages. A row: id, name, domains of addresses, domains of servers, then
//! what differs.

use super::{Passwords, Place, Provider, Username};
use crate::model::{Protocol, Security};

const fn tls(host: &'static str, port: u16) -> Place {
    Place { host, port, security: Security::Tls }
}

const fn starttls(host: &'static str, port: u16) -> Place {
    Place { host, port, security: Security::Starttls }
}

const fn provider(
    id: &'static str,
    name: &'static str,
    domains: &'static [&'static str],
    servers: &'static [&'static str],
) -> Provider {
    Provider {
        id,
        name,
        domains,
        servers,
        smtp: &[],
        receive: &[],
        username: Username::Address,
        passwords: Passwords::Usual,
        oauth2: None,
        files_sent: false,
        note: "",
    }
}

/// All providers. A server belongs to the first row that claims it.
pub const ALL: &[Provider] = &[
    Provider {
        smtp: &[tls("smtp.gmail.com", 465), starttls("smtp.gmail.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.gmail.com", 993)), (Protocol::Pop3, tls("pop.gmail.com", 995))],
        passwords: Passwords::App("https://myaccount.google.com/apppasswords"),
        oauth2: Some("google"),
        note: "App passwords need 2-step verification. POP3 has to be switched on in Gmail's settings.",
        files_sent: true,
        ..provider(
            "google",
            "Gmail and Google Workspace",
            &["gmail.com", "googlemail.com"],
            &["google.com", "gmail.com", "googlemail.com"],
        )
    },
    Provider {
        smtp: &[starttls("smtp-mail.outlook.com", 587)],
        receive: &[
            (Protocol::Imap, tls("imap-mail.outlook.com", 993)),
            (Protocol::Pop3, tls("pop-mail.outlook.com", 995)),
        ],
        passwords: Passwords::Ending {
            smtp: "2024-09-16",
            receive: "2024-09-16",
            source: "https://support.microsoft.com/office/c5d65390-9676-4763-b41f-d7986499a90d",
        },
        oauth2: Some("microsoft"),
        note: "POP3 and IMAP have to be switched on in the mailbox's settings.",
        files_sent: true,
        ..provider(
            "outlook",
            "Outlook.com, Hotmail, Live",
            &[
                "outlook.com",
                "outlook.de",
                "outlook.fr",
                "hotmail.com",
                "hotmail.de",
                "hotmail.fr",
                "hotmail.co.uk",
                "hotmail.it",
                "hotmail.es",
                "live.com",
                "live.de",
                "live.fr",
                "live.co.uk",
                "msn.com",
            ],
            &["olc.protection.outlook.com", "smtp-mail.outlook.com", "imap-mail.outlook.com", "pop-mail.outlook.com"],
        )
    },
    Provider {
        smtp: &[starttls("smtp.office365.com", 587)],
        receive: &[
            (Protocol::Imap, tls("outlook.office365.com", 993)),
            (Protocol::Pop3, tls("outlook.office365.com", 995)),
        ],
        passwords: Passwords::Ending {
            smtp: "2026-12-31",
            receive: "2022-12-31",
            source: "https://techcommunity.microsoft.com/blog/exchange/updated-exchange-online-smtp-auth-basic-authentication-deprecation-timeline/4489835",
        },
        oauth2: Some("microsoft"),
        note: "SMTP AUTH has to be allowed for the mailbox and the tenant (https://aka.ms/smtp_auth_disabled). A shared mailbox is used with your own user name.",
        files_sent: true,
        ..provider(
            "microsoft365",
            "Microsoft 365",
            &["onmicrosoft.com"],
            &["office365.com", "mail.protection.outlook.com", "outlook.office365.com", "outlook.office.com"],
        )
    },
    Provider {
        smtp: &[tls("smtp.mail.yahoo.com", 465), starttls("smtp.mail.yahoo.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.mail.yahoo.com", 993)), (Protocol::Pop3, tls("pop.mail.yahoo.com", 995))],
        passwords: Passwords::App("https://login.yahoo.com/account/security"),
        oauth2: Some("generic"),
        ..provider(
            "yahoo",
            "Yahoo Mail",
            &[
                "yahoo.com",
                "yahoo.de",
                "yahoo.fr",
                "yahoo.it",
                "yahoo.es",
                "yahoo.co.uk",
                "yahoo.ca",
                "yahoo.in",
                "yahoo.com.br",
                "ymail.com",
                "rocketmail.com",
            ],
            &["yahoo.com", "yahoodns.net"],
        )
    },
    Provider {
        smtp: &[tls("smtp.aol.com", 465), starttls("smtp.aol.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.aol.com", 993)), (Protocol::Pop3, tls("pop.aol.com", 995))],
        passwords: Passwords::App("https://login.aol.com/account/security"),
        ..provider("aol", "AOL Mail", &["aol.com", "aol.de", "aol.fr", "aol.co.uk", "aim.com"], &["aol.com"])
    },
    Provider {
        smtp: &[starttls("smtp.mail.me.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.mail.me.com", 993))],
        passwords: Passwords::App("https://account.apple.com/account/manage"),
        note: "There is no POP3.",
        ..provider("icloud", "iCloud Mail", &["icloud.com", "me.com", "mac.com"], &["mail.me.com", "icloud.com"])
    },
    Provider {
        smtp: &[tls("mail.gmx.net", 465), starttls("mail.gmx.net", 587)],
        receive: &[(Protocol::Imap, tls("imap.gmx.net", 993)), (Protocol::Pop3, tls("pop.gmx.net", 995))],
        note: "POP3 and IMAP have to be switched on in the mailbox's settings.",
        ..provider("gmx", "GMX", &["gmx.de", "gmx.net", "gmx.at", "gmx.ch"], &["gmx.net", "gmx.de"])
    },
    Provider {
        smtp: &[tls("mail.gmx.com", 465), starttls("mail.gmx.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.gmx.com", 993)), (Protocol::Pop3, tls("pop.gmx.com", 995))],
        note: "POP3 and IMAP have to be switched on in the mailbox's settings.",
        ..provider("gmx-com", "GMX.com", &["gmx.com", "gmx.us", "gmx.co.uk", "gmx.fr", "gmx.es"], &["gmx.com"])
    },
    Provider {
        smtp: &[tls("smtp.web.de", 465), starttls("smtp.web.de", 587)],
        receive: &[(Protocol::Imap, tls("imap.web.de", 993)), (Protocol::Pop3, tls("pop3.web.de", 995))],
        note: "POP3 and IMAP have to be switched on in the mailbox's settings.",
        ..provider("webde", "WEB.DE", &["web.de"], &["web.de"])
    },
    Provider {
        smtp: &[tls("smtp.mail.com", 465), starttls("smtp.mail.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.mail.com", 993)), (Protocol::Pop3, tls("pop.mail.com", 995))],
        note: "POP3 and IMAP need a paid plan.",
        ..provider("mailcom", "mail.com", &["mail.com", "email.com"], &["mail.com"])
    },
    Provider {
        smtp: &[tls("securesmtp.t-online.de", 465), starttls("securesmtp.t-online.de", 587)],
        receive: &[
            (Protocol::Imap, tls("secureimap.t-online.de", 993)),
            (Protocol::Pop3, tls("securepop.t-online.de", 995)),
        ],
        passwords: Passwords::App("https://email.t-online.de/"),
        note: "A mail password of its own is set in the e-mail center.",
        ..provider("tonline", "T-Online (Deutsche Telekom)", &["t-online.de", "magenta.de"], &["t-online.de"])
    },
    Provider {
        smtp: &[tls("smtp.ionos.de", 465), starttls("smtp.ionos.de", 587)],
        receive: &[(Protocol::Imap, tls("imap.ionos.de", 993)), (Protocol::Pop3, tls("pop.ionos.de", 995))],
        ..provider("ionos", "IONOS (1&1)", &[], &["ionos.de", "kundenserver.de"])
    },
    Provider {
        smtp: &[tls("smtp.ionos.com", 465), starttls("smtp.ionos.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.ionos.com", 993)), (Protocol::Pop3, tls("pop.ionos.com", 995))],
        ..provider("ionos-com", "IONOS (international)", &[], &["ionos.com", "perfora.net"])
    },
    Provider {
        smtp: &[tls("smtp.strato.de", 465), starttls("smtp.strato.de", 587)],
        receive: &[(Protocol::Imap, tls("imap.strato.de", 993)), (Protocol::Pop3, tls("pop3.strato.de", 995))],
        ..provider("strato", "STRATO", &[], &["strato.de", "rzone.de"])
    },
    Provider {
        smtp: &[tls("mx.freenet.de", 465), starttls("mx.freenet.de", 587)],
        receive: &[(Protocol::Imap, tls("mx.freenet.de", 993)), (Protocol::Pop3, tls("mx.freenet.de", 995))],
        ..provider("freenet", "freenet Mail", &["freenet.de"], &["freenet.de"])
    },
    Provider {
        smtp: &[tls("smtp.mailbox.org", 465), starttls("smtp.mailbox.org", 587)],
        receive: &[(Protocol::Imap, tls("imap.mailbox.org", 993)), (Protocol::Pop3, tls("pop3.mailbox.org", 995))],
        note: "With two-factor sign-in an application password is needed.",
        ..provider("mailbox-org", "mailbox.org", &["mailbox.org"], &["mailbox.org"])
    },
    Provider {
        smtp: &[tls("posteo.de", 465), starttls("posteo.de", 587)],
        receive: &[(Protocol::Imap, tls("posteo.de", 993)), (Protocol::Pop3, tls("posteo.de", 995))],
        ..provider("posteo", "Posteo", &["posteo.de", "posteo.net", "posteo.eu"], &["posteo.de"])
    },
    Provider {
        smtp: &[tls("smtp.netcologne.de", 465), starttls("smtp.netcologne.de", 587)],
        receive: &[(Protocol::Imap, tls("imap.netcologne.de", 993)), (Protocol::Pop3, tls("pop3.netcologne.de", 995))],
        ..provider("netcologne", "NetCologne", &["netcologne.de"], &["netcologne.de"])
    },
    Provider {
        smtp: &[tls("smtp.zoho.com", 465), starttls("smtp.zoho.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.zoho.com", 993)), (Protocol::Pop3, tls("pop.zoho.com", 995))],
        note: "With two-factor sign-in an app password is needed. IMAP and POP3 have to be switched on.",
        ..provider("zoho", "Zoho Mail", &["zohomail.com", "zoho.com"], &["zoho.com"])
    },
    Provider {
        smtp: &[tls("smtp.zoho.eu", 465), starttls("smtp.zoho.eu", 587)],
        receive: &[(Protocol::Imap, tls("imap.zoho.eu", 993)), (Protocol::Pop3, tls("pop.zoho.eu", 995))],
        note: "With two-factor sign-in an app password is needed. IMAP and POP3 have to be switched on.",
        ..provider("zoho-eu", "Zoho Mail (EU)", &["zohomail.eu"], &["zoho.eu"])
    },
    Provider {
        smtp: &[tls("smtp.fastmail.com", 465), starttls("smtp.fastmail.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.fastmail.com", 993)), (Protocol::Pop3, tls("pop.fastmail.com", 995))],
        passwords: Passwords::App("https://app.fastmail.com/settings/security/apps"),
        ..provider(
            "fastmail",
            "Fastmail",
            &["fastmail.com", "fastmail.fm", "sent.com"],
            &["fastmail.com", "messagingengine.com"],
        )
    },
    Provider {
        smtp: &[tls("smtp.yandex.com", 465), starttls("smtp.yandex.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.yandex.com", 993)), (Protocol::Pop3, tls("pop.yandex.com", 995))],
        passwords: Passwords::App("https://id.yandex.com/security/app-passwords"),
        note: "IMAP and POP3 have to be switched on in the mailbox's settings.",
        ..provider(
            "yandex",
            "Yandex Mail",
            &["yandex.ru", "yandex.com", "ya.ru"],
            &["yandex.ru", "yandex.com", "yandex.net"],
        )
    },
    Provider {
        smtp: &[tls("smtp.mail.ru", 465)],
        receive: &[(Protocol::Imap, tls("imap.mail.ru", 993)), (Protocol::Pop3, tls("pop.mail.ru", 995))],
        passwords: Passwords::App("https://account.mail.ru/user/2-step-auth/passwords"),
        ..provider("mailru", "Mail.ru", &["mail.ru", "bk.ru", "inbox.ru", "list.ru"], &["mail.ru"])
    },
    Provider {
        smtp: &[tls("smtp.wp.pl", 465)],
        receive: &[(Protocol::Imap, tls("imap.wp.pl", 993)), (Protocol::Pop3, tls("pop3.wp.pl", 995))],
        note: "External programs have to be allowed in the mailbox's settings.",
        ..provider("wp", "Wirtualna Polska", &["wp.pl"], &["wp.pl"])
    },
    Provider {
        smtp: &[tls("poczta.o2.pl", 465)],
        receive: &[(Protocol::Imap, tls("poczta.o2.pl", 993)), (Protocol::Pop3, tls("poczta.o2.pl", 995))],
        note: "External programs have to be allowed in the mailbox's settings.",
        ..provider("o2pl", "o2 Poczta", &["o2.pl", "tlen.pl"], &["o2.pl", "tlen.pl"])
    },
    Provider {
        smtp: &[tls("smtp.poczta.onet.pl", 465)],
        receive: &[
            (Protocol::Imap, tls("imap.poczta.onet.pl", 993)),
            (Protocol::Pop3, tls("pop3.poczta.onet.pl", 995)),
        ],
        ..provider("onet", "Onet Poczta", &["onet.pl", "op.pl", "vp.pl", "poczta.onet.pl", "onet.eu"], &["onet.pl"])
    },
    Provider {
        smtp: &[tls("poczta.interia.pl", 465)],
        receive: &[(Protocol::Imap, tls("poczta.interia.pl", 993)), (Protocol::Pop3, tls("poczta.interia.pl", 995))],
        ..provider("interia", "Interia", &["interia.pl", "interia.eu", "poczta.fm"], &["interia.pl"])
    },
    Provider {
        smtp: &[tls("poczta.home.pl", 465), starttls("poczta.home.pl", 587)],
        receive: &[(Protocol::Imap, tls("poczta.home.pl", 993)), (Protocol::Pop3, tls("poczta.home.pl", 995))],
        ..provider("homepl", "home.pl", &[], &["home.pl"])
    },
    Provider {
        smtp: &[tls("smtp.seznam.cz", 465)],
        receive: &[(Protocol::Imap, tls("imap.seznam.cz", 993)), (Protocol::Pop3, tls("pop3.seznam.cz", 995))],
        note: "With two-factor sign-in an application password is needed.",
        ..provider("seznam", "Seznam.cz", &["seznam.cz", "email.cz", "post.cz"], &["seznam.cz"])
    },
    Provider {
        smtp: &[tls("smtp.orange.fr", 465)],
        receive: &[(Protocol::Imap, tls("imap.orange.fr", 993)), (Protocol::Pop3, tls("pop.orange.fr", 995))],
        ..provider("orange-fr", "Orange (France)", &["orange.fr", "wanadoo.fr"], &["orange.fr"])
    },
    Provider {
        smtp: &[tls("smtp.free.fr", 465)],
        receive: &[(Protocol::Imap, tls("imap.free.fr", 993)), (Protocol::Pop3, tls("pop.free.fr", 995))],
        note: "Authenticated SMTP has to be switched on in the subscriber's pages.",
        ..provider("free-fr", "Free", &["free.fr"], &["free.fr"])
    },
    Provider {
        smtp: &[tls("smtp.laposte.net", 465)],
        receive: &[(Protocol::Imap, tls("imap.laposte.net", 993)), (Protocol::Pop3, tls("pop.laposte.net", 995))],
        note: "IMAP and POP3 have to be switched on in the mailbox's settings.",
        ..provider("laposte", "La Poste", &["laposte.net"], &["laposte.net"])
    },
    Provider {
        smtp: &[tls("ssl0.ovh.net", 465), starttls("ssl0.ovh.net", 587)],
        receive: &[(Protocol::Imap, tls("ssl0.ovh.net", 993)), (Protocol::Pop3, tls("ssl0.ovh.net", 995))],
        ..provider("ovh", "OVHcloud", &[], &["ovh.net"])
    },
    Provider {
        smtp: &[tls("mail.gandi.net", 465), starttls("mail.gandi.net", 587)],
        receive: &[(Protocol::Imap, tls("mail.gandi.net", 993)), (Protocol::Pop3, tls("mail.gandi.net", 995))],
        ..provider("gandi", "Gandi", &[], &["gandi.net"])
    },
    Provider {
        smtp: &[tls("mail.infomaniak.com", 465), starttls("mail.infomaniak.com", 587)],
        receive: &[
            (Protocol::Imap, tls("mail.infomaniak.com", 993)),
            (Protocol::Pop3, tls("mail.infomaniak.com", 995)),
        ],
        note: "A device password is needed with two-factor sign-in.",
        ..provider("infomaniak", "Infomaniak", &["ik.me", "etik.com"], &["infomaniak.com", "infomaniak.ch"])
    },
    Provider {
        smtp: &[tls("smtp.libero.it", 465)],
        receive: &[(Protocol::Imap, tls("imapmail.libero.it", 993)), (Protocol::Pop3, tls("popmail.libero.it", 995))],
        ..provider("libero", "Libero Mail", &["libero.it", "iol.it", "inwind.it", "blu.it"], &["libero.it"])
    },
    Provider {
        smtp: &[tls("smtps.aruba.it", 465)],
        receive: &[(Protocol::Imap, tls("imaps.aruba.it", 993)), (Protocol::Pop3, tls("pop3s.aruba.it", 995))],
        ..provider("aruba", "Aruba", &["aruba.it"], &["aruba.it"])
    },
    Provider {
        smtp: &[tls("smtpauths.bluewin.ch", 465)],
        receive: &[(Protocol::Imap, tls("imaps.bluewin.ch", 993)), (Protocol::Pop3, tls("pop3s.bluewin.ch", 995))],
        ..provider("bluewin", "Bluewin (Swisscom)", &["bluewin.ch"], &["bluewin.ch"])
    },
    Provider {
        smtp: &[tls("smtp.comcast.net", 465), starttls("smtp.comcast.net", 587)],
        receive: &[(Protocol::Imap, tls("imap.comcast.net", 993))],
        note: "Third-party access has to be allowed in the mailbox's security settings.",
        ..provider("comcast", "Xfinity (Comcast)", &["comcast.net"], &["comcast.net"])
    },
    Provider {
        smtp: &[tls("smtp.mail.att.net", 465)],
        receive: &[(Protocol::Imap, tls("imap.mail.att.net", 993)), (Protocol::Pop3, tls("inbound.att.net", 995))],
        passwords: Passwords::App("https://www.att.com/support/article/email-support/KM1240462/"),
        note: "The secure mail key takes the place of the password.",
        ..provider("att", "AT&T Mail", &["att.net", "sbcglobal.net", "bellsouth.net"], &["att.net"])
    },
    Provider {
        smtp: &[tls("smtp.qq.com", 465), starttls("smtp.qq.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.qq.com", 993)), (Protocol::Pop3, tls("pop.qq.com", 995))],
        passwords: Passwords::App("https://mail.qq.com/"),
        note: "An authorization code from the mailbox's settings takes the place of the password.",
        ..provider("qq", "QQ Mail", &["qq.com", "foxmail.com"], &["qq.com"])
    },
    Provider {
        smtp: &[tls("smtp.163.com", 465)],
        receive: &[(Protocol::Imap, tls("imap.163.com", 993)), (Protocol::Pop3, tls("pop.163.com", 995))],
        passwords: Passwords::App("https://mail.163.com/"),
        note: "An authorization code from the mailbox's settings takes the place of the password.",
        ..provider("netease163", "NetEase 163", &["163.com"], &["163.com"])
    },
    Provider {
        smtp: &[tls("smtp.naver.com", 465), starttls("smtp.naver.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.naver.com", 993)), (Protocol::Pop3, tls("pop.naver.com", 995))],
        username: Username::LocalPart,
        note: "IMAP and POP3 have to be switched on in the mailbox's settings.",
        ..provider("naver", "Naver Mail", &["naver.com"], &["naver.com"])
    },
    Provider {
        smtp: &[tls("smtp.hostinger.com", 465), starttls("smtp.hostinger.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.hostinger.com", 993)), (Protocol::Pop3, tls("pop.hostinger.com", 995))],
        ..provider("hostinger", "Hostinger", &[], &["hostinger.com"])
    },
    Provider {
        smtp: &[tls("mail.privateemail.com", 465), starttls("mail.privateemail.com", 587)],
        receive: &[
            (Protocol::Imap, tls("mail.privateemail.com", 993)),
            (Protocol::Pop3, tls("mail.privateemail.com", 995)),
        ],
        ..provider("privateemail", "Namecheap Private Email", &[], &["privateemail.com"])
    },
    Provider {
        smtp: &[tls("smtp.migadu.com", 465), starttls("smtp.migadu.com", 587)],
        receive: &[(Protocol::Imap, tls("imap.migadu.com", 993)), (Protocol::Pop3, tls("pop.migadu.com", 995))],
        ..provider("migadu", "Migadu", &[], &["migadu.com"])
    },
];
