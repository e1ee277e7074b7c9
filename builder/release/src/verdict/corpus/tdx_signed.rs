//! TDX: wrong in one thing, and signed as if it were right.

use sealstone_evidence::testing::tdx::{COLLATERAL_KEY, OTHER_KEY, SGX_EXTENSION, level, sgx_extension};
use sealstone_evidence::testing::x509::{AT, YEAR};
use sealstone_evidence::time;
use serde_json::json;

use super::tdx::{MRTD, REPORT_DATA, RTMR, Tdx};
use super::{Binding, Case, Expect, flip};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    header_and_registers(&mut cases);
    attributes(&mut cases);
    platform(&mut cases);
    enclave(&mut cases);
    chains(&mut cases);
    validity(&mut cases);
    cases
}

fn case(cases: &mut Vec<Case>, name: impl Into<String>, check: &'static str, code: u8, change: impl Fn(&mut Tdx)) {
    let mut sample = Tdx::new(4);
    change(&mut sample);
    cases.push(Case { name: name.into(), expect: Expect::Refused(check, code), found: sample.judge() });
}

fn header_and_registers(cases: &mut Vec<Case>) {
    // Key type, tee type, reserved bytes, vendor; the header's first two bytes are the version.
    for at in [0, 1, 2, 5, 6, 9, 10, 25] {
        case(cases, format!("header, byte {}", at + 2), "tdx.header", 10, |s| flip(&mut s.made.header, at, 0));
    }
    let registers = [("pin.mrtd", MRTD), ("pin.rtmr1", RTMR + 48), ("pin.rtmr2", RTMR + 96), ("pin.rtmr3", RTMR + 144)];
    for (check, start) in registers {
        for (at, bit) in [(0, 0), (23, 4), (47, 7)] {
            let name = format!("{check}, byte {at}, bit {bit}");
            case(cases, name, check, 11, |s| flip(&mut s.made.body, start + at, bit));
        }
    }
    for at in [0, 63] {
        case(cases, format!("report data, byte {at}"), "binding", 12, |s| flip(&mut s.made.body, REPORT_DATA + at, 0));
    }
    case(cases, "another nonce", "binding", 12, |s| s.binding = Binding::Nonce([1; 32]));
    let hex = "ab".repeat(48);
    for (field, check, code) in [
        ("mr_td", "tdx.mrtd", 11),
        ("rtmr0", "tdx.rtmr0", 11),
        ("rtmr1", "tdx.rtmr1", 11),
        ("rtmr2", "tdx.rtmr2", 11),
        ("rtmr3", "tdx.rtmr3", 11),
        ("mr_seam", "tdx.policy.mrseam", 12),
    ] {
        case(cases, format!("policy: {field}"), check, code, |s| s.policy.push_str(&format!("  {field}: ['{hex}']\n")));
    }
    for (field, check) in
        [("mr_config_id", "tdx.mrconfigid"), ("mr_owner", "tdx.mrowner"), ("mr_owner_config", "tdx.mrownerconfig")]
    {
        case(cases, format!("policy: {field}"), check, 12, |s| s.policy.push_str(&format!("  {field}: '{hex}'\n")));
    }
    case(cases, "policy: report_data", "tdx.report-data", 12, |s| {
        s.policy.push_str(&format!("  report_data: '{}'\n", "ab".repeat(64)));
    });
}

/// Every bit of attributes and XFAM that may not be as it is.
fn attributes(cases: &mut Vec<Case>) {
    for bit in (0..=27).chain([28, 29]).chain(32..64) {
        let check = match bit {
            0..=7 => "tdx.policy.debug",
            28 => "tdx.policy.sept-ve-disable",
            29 => "tdx.policy.migration",
            63 => "tdx.policy.perfmon",
            _ => "tdx.policy.reserved",
        };
        case(cases, format!("attribute {bit}"), check, 12, |s| flip(&mut s.made.body, 120 + bit / 8, (bit % 8) as u8));
    }
    for bit in [0, 1, 3, 4, 10, 13, 16].into_iter().chain(20..64) {
        case(cases, format!("XFAM {bit}"), "tdx.policy.xfam", 12, |s| flip(&mut s.made.body, 128 + bit / 8, (bit % 8) as u8));
    }
    case(cases, "a service TD", "tdx.policy.migration", 12, |s| {
        *s = Tdx::new(5);
        s.made.body[600] = 1;
    });
}

/// The platform, its TCB and the TDX module.
fn platform(cases: &mut Vec<Case>) {
    let pck = |s: &mut Tdx, extension: Vec<u8>| s.made.pck.extensions = vec![(SGX_EXTENSION, false, extension)];
    let fmspc = [0xb0, 0xc0, 0x6f, 0, 0, 0];
    for byte in 0..6 {
        case(cases, format!("FMSPC, byte {byte}"), "tdx.platform", 10, |s| {
            let mut other = fmspc;
            other[byte] ^= 1;
            pck(s, sgx_extension(&other, &[0, 0], [3; 16], 11));
        });
    }
    case(cases, "PCE id", "tdx.platform", 10, |s| pck(s, sgx_extension(&fmspc, &[0, 1], [3; 16], 11)));
    case(cases, "TCB type", "tdx.platform", 10, |s| s.made.tcb_info["tcbType"] = 1.into());
    case(cases, "PCK certificate without the SGX extension", "tdx.platform", 10, |s| s.made.pck.extensions.clear());
    case(cases, "FMSPC cut", "tdx.platform", 10, |s| pck(s, sgx_extension(&fmspc[..5], &[0, 0], [3; 16], 11)));
    const STATUS: &str = "tdx.policy.tcb-status";
    for component in 0..16 {
        case(cases, format!("SGX component {component} out of date"), STATUS, 12, |s| {
            let mut components = [3; 16];
            components[component] = 2;
            pck(s, sgx_extension(&fmspc, &[0, 0], components, 11));
        });
        if component != 1 {
            case(cases, format!("TDX component {component} out of date"), STATUS, 12, |s| s.made.body[component] = 2);
        }
    }
    case(cases, "TCB revoked", STATUS, 12, |s| {
        s.made.body[0] = 1;
        s.policy.push_str("  accept_status: [UpToDate, OutOfDate, Unlisted]\n");
    });
    case(cases, "TCB not listed", STATUS, 12, |s| s.made.body[0] = 0);
    case(cases, "PCE svn too low", STATUS, 12, |s| pck(s, sgx_extension(&fmspc, &[0, 0], [3; 16], 10)));
    for status in ["SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate", "Revoked"] {
        case(cases, format!("status {status}"), STATUS, 12, |s| s.made.tcb_info["tcbLevels"][0] = level(3, status));
    }
    case(cases, "no levels", STATUS, 12, |s| s.made.tcb_info["tcbLevels"] = json!([]));
    case(cases, "TCB older than the policy wants", "tdx.policy.tcb-date", 12, |s| {
        s.policy.push_str("  min_tcb_date: '2023-08-09T00:00:01Z'\n");
    });
    for document in ["tcb_info", "qe_identity"] {
        case(cases, format!("evaluation number of {document}"), "tdx.policy.evaluation-number", 12, |s| {
            let value = if document == "tcb_info" { &mut s.made.tcb_info } else { &mut s.made.qe_identity };
            value["tcbEvaluationDataNumber"] = 16.into();
        });
    }
    case(cases, "module of another signer", "tdx.module", 10, |s| flip(&mut s.made.body, 64, 0));
    case(cases, "module for debugging", "tdx.module", 10, |s| flip(&mut s.made.body, 112, 0));
    case(cases, "module of a version that isn't listed", "tdx.module", 10, |s| s.made.body[1] = 1);
    for (field, value) in [("id", json!("SGX")), ("version", json!(2)), ("issueDate", json!("yesterday")), ("fmspc", json!("00"))]
    {
        let mut sample = Tdx::new(4);
        sample.made.tcb_info[field] = value;
        cases.push(Case { name: format!("TCB info, {field}"), expect: Expect::Unreadable, found: sample.judge() });
    }
}

/// The quoting enclave.
fn enclave(cases: &mut Vec<Case>) {
    // MISCSELECT, attributes (0x11 is INIT and PROVISIONKEY; bit 1 is DEBUG), signer, product.
    for (at, bit) in [(16, 0), (48, 1), (48, 0), (55, 7), (128, 0), (159, 7), (256, 0)] {
        case(cases, format!("enclave, byte {at}, bit {bit}"), "tdx.qe.identity", 10, |s| flip(&mut s.made.qe_report, at, bit));
    }
    case(cases, "enclave out of date", "tdx.policy.tcb-status", 12, |s| s.made.qe_report[258] = 3);
    case(cases, "enclave not listed", "tdx.policy.tcb-status", 12, |s| s.made.qe_report[258] = 1);
    case(cases, "enclave vouches for another key", "tdx.qe.binding", 10, |s| s.made.qe_report_data = Some([7; 64]));
    for (field, value) in [("id", json!("QE")), ("version", json!(1)), ("mrsigner", json!("00"))] {
        let mut sample = Tdx::new(4);
        sample.made.qe_identity[field] = value;
        cases.push(Case { name: format!("QE identity, {field}"), expect: Expect::Unreadable, found: sample.judge() });
    }
}

/// Who signed what, and what was taken back.
fn chains(cases: &mut Vec<Case>) {
    let signers = [
        (0, "root", "tdx.chain.pck"),
        (1, "PCK's issuer", "tdx.chain.pck"),
        (2, "PCK certificate", "tdx.chain.pck"),
        (3, "enclave's report", "tdx.qe.signature"),
        (4, "quote", "tdx.signature"),
        (5, "signer of collateral", "tdx.chain.tcb-info"),
        (6, "TCB info", "tdx.tcb-info.signature"),
        (7, "QE identity", "tdx.qe-identity.signature"),
        (8, "root's list", "tdx.crl"),
        (9, "PCK issuer's list", "tdx.crl"),
    ];
    for (which, name, check) in signers {
        case(cases, format!("{name} signed by somebody else"), check, 10, |s| s.made.keys[which] = OTHER_KEY);
    }
    case(cases, "a root of one's own", "tdx.chain.crl", 10, |s| {
        s.made.root.spki = Tdx::new(4).made.pck.spki;
    });
    case(cases, "collateral signed by the platform's issuer", "tdx.tcb-info.signature", 10, |s| s.made.keys[6] = 4);
    case(cases, "PCK issued by the collateral's signer", "tdx.chain.pck", 10, |s| s.made.keys[2] = COLLATERAL_KEY);
    case(cases, "PCK's issuer that is no authority", "tdx.chain.pck", 10, |s| s.made.platform.extensions.clear());
    case(cases, "root that is no authority", "tdx.chain.pck", 10, |s| s.made.root.extensions.clear());
    case(cases, "PCK names another issuer", "tdx.chain.pck", 10, |s| s.made.pck.issuer = "Somebody".into());
    case(cases, "PCK revoked", "tdx.revocation", 10, |s| s.made.pck_crl.revoked = vec![9, 5]);
    case(cases, "PCK's issuer revoked", "tdx.revocation", 10, |s| s.made.root_crl.revoked = vec![4]);
    case(cases, "collateral's signer revoked", "tdx.revocation", 10, |s| s.made.root_crl.revoked = vec![6, 9]);
    case(cases, "root's list of another issuer", "tdx.crl", 10, |s| s.made.root_crl.issuer = "Somebody".into());
    case(cases, "PCK issuer's list of another issuer", "tdx.crl", 10, |s| s.made.pck_crl.issuer = "Somebody".into());
    // Intel's root doesn't know these chains, whatever else is right.
    let sample = Tdx::new(4);
    let document = super::sample::text(&sample.document(&sample.made.quote(), Some(&sample.made.collateral().to_string())));
    let found = super::judge(super::Roots::Vendors, &sample.pin, document.as_bytes(), &sample.policy, &sample.binding, sample.at);
    cases.push(Case { name: "under Intel's root".into(), expect: Expect::Refused("tdx.chain.pck", 10), found });
}

/// Each piece of which Intel says how long it holds, expired and not yet valid.
fn validity(cases: &mut Vec<Case>) {
    for (name, span) in [("expired", (AT - YEAR, AT - 1)), ("not yet valid", (AT + 1, AT + YEAR))] {
        let mut add = |what: &str, change: &dyn Fn(&mut Tdx)| {
            case(cases, format!("{what} {name}"), "tdx.validity", 12, change);
        };
        add("PCK certificate", &|s| s.made.pck.validity = span);
        add("PCK's issuer", &|s| s.made.platform.validity = span);
        add("root", &|s| s.made.root.validity = span);
        add("collateral's signer", &|s| s.made.signer.validity = span);
        add("root's list", &|s| s.made.root_crl.validity = span);
        add("PCK issuer's list", &|s| s.made.pck_crl.validity = span);
        for document in ["TCB info", "QE identity"] {
            add(document, &|s| {
                let value = if document == "TCB info" { &mut s.made.tcb_info } else { &mut s.made.qe_identity };
                value["issueDate"] = time::show(span.0).into();
                value["nextUpdate"] = time::show(span.1).into();
            });
        }
    }
    case(cases, "judged too late", "tdx.validity", 12, |s| s.at = AT + YEAR + 1);
    case(cases, "judged too early", "tdx.validity", 12, |s| s.at = AT - YEAR - 1);
}
