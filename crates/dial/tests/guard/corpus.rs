use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dial::{Error, Never, Policy, Reason};
use hyper::Uri;
use proptest::prelude::*;

use crate::names::{Names, connect, connector, found};

/// As much as a list can say.
const EVERYTHING: &[&str] = &["0.0.0.0/0", "::/0", "*.example", "*.internal", "rebind"];

/// Hosts that must never be reached, whatever the list says.
const FORBIDDEN: &[&str] = &[
    // This machine, plainly.
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "0.0.0.0",
    "0.1.2.3",
    "[::]",
    // In spellings of `inet_aton` and its friends.
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "0X7F.0X0.0X0.0X1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0x0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "00000127.0.0.1",
    "127.0.0.1.1",
    "256.256.256.256",
    "0",
    "1",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.example",
    // In brackets that do not belong there, with a zone, with a user.
    "[127.0.0.1]",
    "[::1%25lo]",
    "[::1%lo]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[::ffff:127.0.0.1%25lo]",
    "tax.example@127.0.0.1",
    "tax.example:80@127.0.0.1",
    // IPv4 inside IPv6: mapped, compatible, translated.
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::ffff:169.254.169.254]",
    "[::ffff:0.0.0.0]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::169.254.169.254]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:0:a9fe:a9fe]",
    // NAT64, its local kind at each prefix length.
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::127.0.0.1]",
    "[64:ff9b:1::169.254.169.254]",
    "[64:ff9b:1:a9fe:a9:fe00::]",
    "[64:ff9b:1:a9fe:a9:fe00:808:808]",
    "[64:ff9b:1:a9:fe:a9fe::]",
    "[64:ff9b:1:0:a9:fea9:fe00:0]",
    "[64:ff9b:1:7f00:0:108:808:808]",
    "[64:ff9b:1:7f:0:1:808:808]",
    "[64:ff9b:1:0:7f:0:108:808]",
    // 6to4, Teredo (server and client), ISATAP.
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::f7f7:f7f7]",
    "[2001:0:808:808:0:0:80ff:fffe]",
    "[2001:0:808:808::5601:5601]",
    "[2606:4700::5efe:127.0.0.1]",
    "[fd00::200:5efe:169.254.169.254]",
    "[fe80::5efe:10.0.0.1]",
    // Link-local and metadata.
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "[fe80::1]",
    "[febf::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "metadata.internal",
    "METADATA.internal.",
    // Multicast, broadcast, documentation, reserved.
    "224.0.0.1",
    "239.255.255.250",
    "[ff02::1]",
    "[ff0e::1]",
    "255.255.255.255",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "[2001:db8::1]",
    "[3fff::1]",
    "198.18.0.1",
    "240.0.0.1",
    "[100::1]",
    "[fec0::1]",
];

#[tokio::test]
async fn d7_no_form_of_a_forbidden_address_is_reached_whatever_the_list_says() {
    assert!(FORBIDDEN.len() >= 60, "{}", FORBIDDEN.len());
    let policy = Policy::allowing(EVERYTHING).unwrap();
    // Whoever gets as far as asking for a name is told this machine: the worst that could be.
    let names = Names::answering([found(&["127.0.0.1"])]);
    let connector = connector(policy.clone(), &names);
    for host in FORBIDDEN {
        let uri = format!("http://{host}:9/");
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let blocked = match bare.parse() {
            // Judged and not dialled, so that a hole in the guard sends nothing anywhere.
            Ok(address) => policy.decide(address, 9, bare).is_err(),
            Err(_) if uri.parse::<Uri>().is_err() => true,
            Err(_) => matches!(connect(&connector, &uri).await, Err(Error::Blocked(_))),
        };
        assert!(blocked, "{uri}");
    }
    let asked = names.asked();
    let is_real_name = |name: &String| name == "metadata.internal";
    assert!(
        !asked.is_empty() && asked.iter().all(is_real_name),
        "spellings reached the resolver: {asked:?}"
    );
}

#[test]
fn d7_an_empty_policy_allows_nothing() {
    let policy = Policy::default();
    for address in [
        "8.8.8.8",
        "10.0.0.1",
        "127.0.0.1",
        "2606:4700::1",
        "fd12::1",
    ] {
        let decided = policy.decide(address.parse().unwrap(), 443, "tax.example");
        assert!(decided.is_err(), "{address}");
    }
}

#[track_caller]
fn check(list: &[&str], host: &str, address: &str, port: u16, expected: Result<(), Reason>) {
    let policy = Policy::allowing(list).unwrap();
    let decided = policy.decide(address.parse().unwrap(), port, host);
    let decided = decided.map_err(|blocked| blocked.reason);
    assert_eq!(decided, expected, "{list:?}: {host} {address} {port}");
}

#[test]
fn d7_what_is_listed_passes_and_nothing_else() {
    let not_listed = Err(Reason::NotListed);
    let name = &["tax.example:8443"][..];
    check(name, "tax.example", "10.20.0.7", 8443, Ok(()));
    check(name, "TAX.example.", "10.20.0.7", 8443, Ok(()));
    check(name, "tax.example", "10.20.0.7", 22, not_listed);
    check(name, "evil.example", "10.20.0.7", 8443, not_listed);
    check(
        name,
        "tax.example.evil.example",
        "10.20.0.7",
        8443,
        not_listed,
    );
    check(
        name,
        "tax.example",
        "127.0.0.1",
        8443,
        Err(Reason::Loopback),
    );
    let metadata = Err(Reason::Never(Never::Metadata));
    check(name, "tax.example", "169.254.169.254", 8443, metadata);
    let range = &["10.20.0.0/16:8443"][..];
    check(range, "any.example", "10.20.0.7", 8443, Ok(()));
    check(range, "any.example", "::ffff:10.20.0.7", 8443, Ok(()));
    check(range, "any.example", "64:ff9b::10.20.0.7", 8443, Ok(()));
    check(range, "any.example", "10.21.0.7", 8443, not_listed);
    check(range, "any.example", "::ffff:10.21.0.7", 8443, not_listed);
    // A prefix that is a place of its own must be listed as well.
    check(range, "x", "2606:4700::5efe:10.20.0.7", 8443, not_listed);
    let both = &["10.20.0.0/16", "2606:4700::/32"][..];
    check(both, "x", "2606:4700::5efe:10.20.0.7", 8443, Ok(()));
    check(both, "x", "2606:4700::5efe:10.21.0.7", 8443, not_listed);
    check(EVERYTHING, "0x7f.1", "10.20.0.7", 8443, Err(Reason::Host));
}

#[test]
fn d7_without_a_list_the_endpoint_itself_is_allowed_and_this_machine_only_by_its_own_name() {
    let check = |own: &str, host: &str, address: &str, port: u16, expected: bool| {
        let decided = Policy::only(own, 80).decide(address.parse().unwrap(), port, host);
        assert_eq!(decided.is_ok(), expected, "{own}: {host} {address} {port}");
    };
    check("tax.example", "tax.example", "10.0.0.1", 80, true);
    check("tax.example", "tax.example", "8.8.8.8", 80, true);
    check("tax.example", "tax.example", "10.0.0.1", 81, false);
    check("tax.example", "tax.example", "127.0.0.1", 80, false);
    check("tax.example", "tax.example", "::1", 80, false);
    check("tax.example", "tax.example", "::ffff:127.0.0.1", 80, false);
    check("tax.example", "other.example", "10.0.0.1", 80, false);
    check("localhost", "localhost", "127.0.0.1", 80, true);
    check("localhost", "localhost", "::1", 80, true);
    check("127.0.0.1", "127.0.0.1", "127.0.0.1", 80, true);
    check("127.0.0.1", "127.0.0.1", "127.0.0.2", 80, false);
    check("[::1]", "::1", "::1", 80, true);
    check(
        "[::ffff:10.0.0.1]",
        "::ffff:10.0.0.1",
        "::ffff:10.0.0.1",
        80,
        true,
    );
    check(
        "169.254.169.254",
        "169.254.169.254",
        "169.254.169.254",
        80,
        false,
    );
    check("0x7f.1", "0x7f.1", "127.0.0.1", 80, false);
}

/// Each way to put an IPv4 address into an IPv6 address that has no place of its own.
fn disguises(v4: Ipv4Addr) -> Vec<Ipv6Addr> {
    let [a, b, c, d] = v4.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    vec![
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0x1234, 0, 0, 0x808, 0x808),
        // The same address as Teredo server and client.
        Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
    ]
}

/// First halves of ranges with a meaning of their own.
const NOTABLE: &[[u8; 2]] = &[
    [0, 0],
    [10, 0],
    [100, 100],
    [127, 0],
    [169, 254],
    [192, 0],
    [192, 168],
    [198, 18],
    [203, 0],
    [224, 0],
    [240, 0],
    [255, 255],
];

fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let near = |[a, b]: [u8; 2]| any::<[u8; 2]>().prop_map(move |[c, d]| Ipv4Addr::new(a, b, c, d));
    prop_oneof![
        any::<u32>().prop_map(Ipv4Addr::from),
        prop::sample::select(NOTABLE).prop_flat_map(near),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn d7_an_address_in_disguise_gets_the_verdict_of_the_plain_one(
        v4 in any_v4(),
        length in 1_u8..=32,
        base in any_v4(),
        by_name: bool,
    ) {
        let first = u32::from(base) & (u32::MAX << (32 - length));
        let range = format!("{}/{length}", Ipv4Addr::from(first));
        let list = if by_name { vec!["tax.example".to_owned()] } else { vec![range] };
        let policy = Policy::allowing(&list).unwrap();
        let decide = |address: IpAddr| {
            policy.decide(address, 443, "tax.example").map_err(|blocked| blocked.reason)
        };
        let plain = decide(v4.into());
        for disguised in disguises(v4) {
            if disguised.is_loopback() || disguised.is_unspecified() {
                continue; // `::1` and `::` are themselves.
            }
            prop_assert_eq!(decide(disguised.into()), plain, "{}", disguised);
        }
        let [a, b, c, d] = v4.octets().map(u16::from);
        let isatap = Ipv6Addr::new(0xfd00, 1, 2, 3, 0x200, 0x5efe, a << 8 | b, c << 8 | d);
        let local = Ipv6Addr::new(0x64, 0xff9b, 1, a << 8 | b, c, d << 8, 0x808, 0x808);
        for stricter in [isatap, local] {
            if stricter == local && a == 0 {
                continue; // Zeros there mean that the address stands further back.
            }
            let verdict = decide(stricter.into());
            prop_assert!(plain.is_ok() || verdict.is_err(), "{}", stricter);
        }
    }
}
