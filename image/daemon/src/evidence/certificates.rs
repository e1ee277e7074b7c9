//! The certificates that a host puts beside an SEV-SNP report.
//!
//! Source: AMD, SEV-ES Guest-Hypervisor Communication Block Standardization (56421), "SNP Extended Guest Request": entries of a
//! GUID, an offset from the table's start and a length, closed by an entry of zeros; the data behind them.
//!
//! The host chooses every byte here. So what can't be a certificate is left out, what contradicts itself is refused, and whether
//! a certificate is one is for the client to judge, who needs none of them if he has his own.

/// An entry: GUID, offset, length; both numbers little-endian.
const ENTRY: usize = 24;

/// VCEK, VLEK, ASK (or its counterpart for the VLEK) and ARK. The table has a GUID's bytes in the order of its text.
const CERTIFICATES: [u128; 4] = [
    0x63da_758d_e664_4564_adc5_f4b9_3be8_accd,
    0xa807_4bc2_a25a_483e_aae6_39c0_45a0_b8a1,
    0x4ab7_b379_bbac_4fe4_a02f_05ae_f327_c782,
    0xc0b4_06a4_a803_4952_9743_3fb6_014c_d0ae,
];

/// A revocation list.
const REVOCATION_LIST: u128 = 0x92f8_1bc3_5811_4d3d_97ff_d19f_88dc_67ea;

/// How DER begins, of a certificate as of a revocation list: with a sequence. Some hosts have text (PEM) instead.
const SEQUENCE: u8 = 0x30;

/// What a table holds of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates<'a> {
    /// In DER, in the table's order: at most one of each kind.
    pub list: Vec<&'a [u8]>,
    /// In DER.
    pub revocation_list: Option<&'a [u8]>,
}

/// Reads a table; an empty one holds nothing. `None` when it isn't closed, points outside itself, or has a kind twice.
pub fn read(table: &[u8]) -> Option<Certificates<'_>> {
    let mut certificates = Certificates::default();
    if table.is_empty() {
        return Some(certificates);
    }
    let mut seen = [false; CERTIFICATES.len()];
    for entry in table.chunks_exact(ENTRY) {
        let (guid, place) = entry.split_first_chunk::<16>()?;
        if entry.iter().all(|byte| *byte == 0) {
            return Some(certificates);
        }
        let guid = u128::from_be_bytes(*guid);
        let kind = CERTIFICATES.iter().position(|known| *known == guid);
        if kind.is_none() && guid != REVOCATION_LIST {
            continue;
        }
        let data = data(table, place)?;
        if let Some(seen) = kind.and_then(|kind| seen.get_mut(kind)) {
            if std::mem::replace(seen, true) {
                return None;
            }
            certificates.list.extend(der(data));
        } else if certificates.revocation_list.is_none() {
            certificates.revocation_list = der(data);
        } else {
            return None;
        }
    }
    None
}

fn data<'a>(table: &'a [u8], place: &[u8]) -> Option<&'a [u8]> {
    let (offset, length) = place.split_first_chunk::<4>()?;
    let number = |bytes: [u8; 4]| usize::try_from(u32::from_le_bytes(bytes)).ok();
    let (offset, length) = (number(*offset)?, number(*length.first_chunk()?)?);
    table.get(offset..offset.checked_add(length)?)
}

fn der(data: &[u8]) -> Option<&[u8]> {
    (data.first() == Some(&SEQUENCE)).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VCEK: &str = "63da758de6644564adc5f4b93be8accd";
    const ASK: &str = "4ab7b379bbac4fe4a02f05aef327c782";
    const LIST: &str = "92f81bc358114d3d97ffd19f88dc67ea";
    const OTHER: &str = "00112233445566778899aabbccddeeff";

    /// GUIDs as their text's bytes, which is what hosts write (`uuid_parse`).
    fn entry(guid: &str, offset: u32, length: u32) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..16).map(|n| u8::from_str_radix(&guid[2 * n..2 * n + 2], 16).unwrap()).collect();
        bytes.extend(offset.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes
    }

    fn table(entries: &[(&str, u32, u32)], data: &[u8]) -> Vec<u8> {
        let mut table: Vec<u8> = entries.iter().flat_map(|(guid, offset, length)| entry(guid, *offset, *length)).collect();
        table.extend([0; ENTRY]);
        table.extend(data);
        table
    }

    #[test]
    fn tables() {
        let three = table(&[(VCEK, 96, 3), (OTHER, 9999, 9999), (ASK, 99, 2)], b"\x30ab\x30c");
        assert_eq!(read(&three), Some(Certificates { list: vec![b"\x30ab", b"\x30c"], revocation_list: None }));
        let two = table(&[(VCEK, 72, 3), (ASK, 75, 2)], b"\x30ab\x30c");
        assert_eq!(read(&two), Some(Certificates { list: vec![b"\x30ab", b"\x30c"], revocation_list: None }));
        let list = table(&[(LIST, 72, 2), (OTHER, 9999, 9999)], b"\x30l");
        assert_eq!(read(&list), Some(Certificates { list: vec![], revocation_list: Some(b"\x30l") }));
        let text = table(&[(VCEK, 48, 5)], b"-----");
        assert_eq!(read(&text), Some(Certificates::default()), "PEM is left out");
        for empty in [vec![], vec![0; ENTRY], vec![0; 4096]] {
            assert_eq!(read(&empty), Some(Certificates::default()));
        }
    }

    #[test]
    fn contradictions() {
        let bad = [
            table(&[(VCEK, 72, 1), (VCEK, 72, 1)], b"\x30"),
            table(&[(LIST, 72, 1), (LIST, 72, 1)], b"\x30"),
            table(&[(VCEK, 48, 2)], b"\x30"),
            table(&[(VCEK, 49, 1)], b"\x30"),
            table(&[(VCEK, u32::MAX, u32::MAX)], b"\x30"),
            table(&[(VCEK, 0, 1)], b"")[..24].to_vec(),
            vec![0; ENTRY - 1],
            vec![1],
        ];
        for bad in bad {
            assert_eq!(read(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn no_table_reads_outside_itself() {
        let good = table(&[(VCEK, 72, 3), (ASK, 75, 2)], b"\x30ab\x30c");
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                read(&bad);
                read(&bad[..at]);
            }
        }
    }
}
