//! Waiting for the network that the kernel configures itself (`ip=dhcp`).

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fatal::{Context, Fatal};

/// How long a network may take after init has started. The kernel asks DHCP before that, so it is there at once or not at all,
/// except for cards that appear late.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until there is a route that doesn't lead to the machine itself.
pub(crate) fn wait() -> Result<(), Fatal> {
    let start = Instant::now();
    loop {
        let table = fs::read_to_string("/proc/net/route").doing("reading /proc/net/route")?;
        if has_route(&table) {
            return Ok(());
        }
        if start.elapsed() >= PATIENCE {
            return Err(Fatal::NoNetwork(PATIENCE.as_secs()));
        }
        sleep(PAUSE);
    }
}

/// Whether the kernel's IPv4 routing table has a usable entry for an interface other than loopback.
/// Source: Linux, `net/ipv4/fib_trie.c`, `fib_route_seq_show`: one header line; interface first, flags fourth, in hex.
fn has_route(table: &str) -> bool {
    const RTF_UP: u32 = 1;
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let interface = fields.next();
        let flags = fields.nth(2).and_then(|f| u32::from_str_radix(f, 16).ok());
        interface.is_some_and(|i| i != "lo") && flags.is_some_and(|f| f & RTF_UP != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_recognised() {
        const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let table = [
            ("", false),
            (HEAD, false),
            ("eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", true),
            ("eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", true),
            ("eth0\t0002000A\t00000000\t0200\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", false),
            ("lo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n", false),
            ("lo\t0\t0\t0001\n eth0\t0\t0\t0001\n", true),
            ("eth0\t00000000\t0202000A\n", false),
            ("eth0\t00000000\t0202000A\tzz\n", false),
        ];
        for (entries, expected) in table {
            let text = if entries == HEAD { HEAD.to_owned() } else { format!("{HEAD}{entries}") };
            assert_eq!(has_route(&text), expected, "{entries:?}");
        }
    }
}
