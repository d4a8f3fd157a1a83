//! Which addresses a tenant may make us talk to.
//!
//! Hosts come from tenants, so every connection is a request that somebody else chose (server-side request forgery).
//! Refused is everything that is not on the public Internet; the operator's allow list makes exceptions, and nothing
//! else does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

/// IPv4 that is not public (IANA's special-purpose registry, RFC 6890).
const REFUSED_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),          // "this network" (RFC 791); Linux connects 0.0.0.0 to itself
    v4(10, 0, 0, 0, 8),         // private (RFC 1918)
    v4(100, 64, 0, 0, 10),      // carrier-grade NAT (RFC 6598)
    v4(127, 0, 0, 0, 8),        // loopback (RFC 1122); on Lambda the runtime API
    v4(169, 254, 0, 0, 16),     // link-local (RFC 3927); the clouds' metadata services
    v4(172, 16, 0, 0, 12),      // private (RFC 1918)
    v4(192, 0, 0, 0, 24),       // protocol assignments (RFC 6890)
    v4(192, 0, 2, 0, 24),       // documentation (RFC 5737)
    v4(192, 88, 99, 0, 24),     // 6to4 relays (RFC 7526)
    v4(192, 168, 0, 0, 16),     // private (RFC 1918)
    v4(198, 18, 0, 0, 15),      // benchmarking (RFC 2544)
    v4(198, 51, 100, 0, 24),    // documentation (RFC 5737)
    v4(203, 0, 113, 0, 24),     // documentation (RFC 5737)
    v4(224, 0, 0, 0, 4),        // multicast (RFC 5771)
    v4(240, 0, 0, 0, 4),        // reserved (RFC 1112)
    v4(255, 255, 255, 255, 32), // broadcast (RFC 919)
];

/// IPv6 that is not public. 2000::/3 is all that IANA gives out as global unicast (RFC 4291 §2.4), so the first three
/// lines hold unspecified, loopback, IPv4-compatible, unique local fc00::/7, link-local fe80::/10, site-local
/// fec0::/10 and multicast ff00::/8, and what will be invented next.
const REFUSED_V6: [Ipv6Net; 6] = [
    v6(0, 0, 3),
    v6(0x4000, 0, 2),
    v6(0x8000, 0, 1),
    v6(0x2001, 0, 23),     // protocol assignments (RFC 2928): ORCHID, benchmarking
    v6(0x2001, 0xdb8, 32), // documentation (RFC 3849)
    v6(0x3fff, 0, 20),     // documentation (RFC 9637)
];

/// Ranges whose addresses carry IPv4 addresses inside: they are as good as those.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 96);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 16);
const TEREDO: Ipv6Net = v6(0x2001, 0, 32);

/// Names that never mean a public host: they are refused before anybody is asked about them.
const PRIVATE_SUFFIXES: [&str; 3] = ["localhost", "internal", "local"];

/// The policy, as a value.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    allow: Vec<IpNet>,
    denied_ports: Vec<u16>,
}

impl Egress {
    /// `allow`: networks as a comma list of CIDRs (a bare address is a network of one), may be empty.
    /// `denied_ports`: never reached inside the allowed networks, such as the local service's own AWS ports.
    ///
    /// # Errors
    /// The first word that is no network.
    pub fn new(allow: &str, denied_ports: &[u16]) -> Result<Self, String> {
        let words = allow.split(',').map(str::trim).filter(|word| !word.is_empty());
        let network = |word: &str| {
            let single = || word.parse().map(|address: IpAddr| IpNet::from(address));
            word.parse().or_else(|_| single()).map_err(|_| format!("{word:?} is no network such as 10.0.0.0/8"))
        };
        Ok(Self { allow: words.map(network).collect::<Result<_, _>>()?, denied_ports: denied_ports.to_vec() })
    }

    /// Whether it is worth resolving this DNS name: names of private hosts can only pass by the allow list.
    pub(super) fn admits_name(&self, name: &str) -> bool {
        !is_private_name(name) || !self.allow.is_empty()
    }

    /// Whether a name that resolved to these addresses may be connected to. One bad address refuses all: an attacker
    /// who mixes them must not get a second try. `name` is `None` for an address that was given as such.
    pub fn admits(&self, name: Option<&str>, addresses: &[IpAddr], port: u16) -> bool {
        let private = name.is_some_and(is_private_name);
        !addresses.is_empty()
            && addresses.iter().all(|&address| {
                if self.allows(address) { !self.denied_ports.contains(&port) } else { !private && is_public(address) }
            })
    }

    /// Whether the operator's list names this address.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

/// `localhost`, names without a dot, `.internal` (RFC 9476 keeps it private in spirit), `.local` (RFC 6762).
fn is_private_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.rsplit_once('.')
        .is_none_or(|(_, last)| PRIVATE_SUFFIXES.iter().any(|suffix| last.eq_ignore_ascii_case(suffix)))
}

/// Whether an address lies on the public Internet, whatever it is wrapped in.
fn is_public(address: IpAddr) -> bool {
    // ::ffff:0:0/96, IPv4-mapped (RFC 4291 §2.5.5.2)
    match address.to_canonical() {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|range| range.contains(&address)),
        IpAddr::V6(address) => match carried(address) {
            Some(inner) => inner.into_iter().all(|inner| is_public(inner.into())),
            None => !REFUSED_V6.iter().any(|range| range.contains(&address)),
        },
    }
}

/// The IPv4 addresses inside an IPv6 address of a translation or tunnel range.
fn carried(address: Ipv6Addr) -> Option<Vec<Ipv4Addr>> {
    let octets = address.octets();
    let at = |from: usize| Ipv4Addr::new(octets[from], octets[from + 1], octets[from + 2], octets[from + 3]);
    if NAT64.contains(&address) {
        Some(vec![at(12)]) // RFC 6052 §2.2
    } else if SIX_TO_FOUR.contains(&address) {
        Some(vec![at(2)]) // RFC 3056 §2
    } else if TEREDO.contains(&address) {
        Some(vec![at(4), Ipv4Addr::from(!u32::from(at(12)))]) // RFC 4380 §4: server, and the client's bits inverted
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses that must never be reached without an allow list.
    const HOSTILE: [&str; 62] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.254",
        "127.0.0.1",
        "127.1.2.3",
        "127.255.255.255",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.100.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::7f00:1",
        "::127.0.0.1",
        "::10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::10.1.2.3",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:0:a00:1::f7f7:f7f7",
        "2001:0:808:808::80ff:fffe",
        "2001:2::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ];

    const PUBLIC: [&str; 12] = [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.32.0.0",
        "192.0.1.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:0:808:808::f7f7:f7f7",
    ];

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn hostile_addresses_are_refused_and_their_public_neighbours_are_not() {
        let egress = Egress::new("", &[]).unwrap();
        for text in HOSTILE {
            assert!(!egress.admits(None, &[address(text)], 993), "{text}");
            assert!(
                !egress.admits(Some("mail.example.com"), &[address("1.1.1.1"), address(text)], 993),
                "{text} beside a public one"
            );
        }
        for text in PUBLIC {
            assert!(egress.admits(Some("mail.example.com"), &[address(text)], 993), "{text}");
        }
        assert!(!egress.admits(Some("mail.example.com"), &[], 993));
    }

    #[test]
    fn private_names_need_the_allow_list_even_with_a_public_address() {
        let names = [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "mail",
            "mail.",
            "ip-10-0-0-1.eu-west-1.compute.internal",
            "nas.local",
            "nas.LOCAL.",
        ];
        for name in names {
            let closed = Egress::new("", &[]).unwrap();
            assert!(!closed.admits_name(name) && !closed.admits(Some(name), &[address("1.1.1.1")], 25), "{name}");
            let open = Egress::new("10.0.0.0/8", &[]).unwrap();
            assert!(open.admits_name(name) && open.admits(Some(name), &[address("10.1.2.3")], 25), "{name}");
            assert!(!open.admits(Some(name), &[address("10.1.2.3"), address("1.1.1.1")], 25), "{name}");
        }
        for name in ["example.com", "local.example.com", "internal.example", "mylocal.example.com."] {
            assert!(Egress::default().admits(Some(name), &[address("1.1.1.1")], 25), "{name}");
        }
    }

    #[test]
    fn the_allow_list_opens_only_what_it_names_and_never_the_denied_ports() {
        let egress = Egress::new(" 127.0.0.0/8, ::1/128,10.9.9.9 ", &[9001, 9002]).unwrap();
        for (text, port, expected) in [
            ("127.0.0.1", 25, true),
            ("127.9.9.9", 9003, true),
            ("::1", 143, true),
            ("::ffff:127.0.0.1", 25, true),
            ("10.9.9.9", 25, true),
            ("127.0.0.1", 9001, false),
            ("::1", 9002, false),
            ("::ffff:127.0.0.1", 9001, false),
            ("10.9.9.8", 25, false),
            ("0.0.0.0", 25, false),
            ("64:ff9b::127.0.0.1", 25, false),
            ("1.1.1.1", 9001, true),
        ] {
            assert_eq!(egress.admits(None, &[address(text)], port), expected, "{text} {port}");
        }
        assert!(Egress::new("10.0.0.0/33", &[]).is_err() && Egress::new("here", &[]).is_err());
    }
}
