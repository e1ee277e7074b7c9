//! Any bytes as what services answer, in turn, and as the header beside it; before that as the evidence that is asked for. What is
//! taken can be read by those who verify.
#![no_main]

use std::cell::Cell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sealstone_collateral::service::{Addresses, Event, Request, Service, Vendors};
use sealstone_collateral::{amd, intel};
use sealstone_evidence::snp::{Product, REPORT_LENGTH, Report};
use sealstone_evidence::tdx::{Collateral, Quote};
use sealstone_evidence::x509::{Certificate, RevocationList};
use sealstone_inputs::{Document, Refused};

/// Hands out pieces of the input, each after three bytes that say how long it is.
struct Answers<'a>(Cell<&'a [u8]>);

impl<'a> Answers<'a> {
    fn next(&self) -> &'a [u8] {
        let Some(([a, b, c], rest)) = self.0.get().split_first_chunk::<3>() else { return &[] };
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let (piece, rest) = rest.split_at(rest.len().min(length));
        self.0.set(rest);
        piece
    }
}

impl Service for Answers<'_> {
    fn get(&self, request: &Request, _: &dyn Fn(&str, Duration)) -> Result<Document, Refused> {
        let bytes = self.next().to_vec();
        let header = request.header.map(|_| String::from_utf8_lossy(self.next()).into_owned());
        if bytes.len() > request.limit {
            return Err(Refused::Failed("too long".into()));
        }
        Ok(Document { bytes, header })
    }
}

fuzz_target!(|data: &[u8]| {
    let answers = Answers(Cell::new(data));
    let evidence = answers.next();
    let watch = |_: Event<'_>| {};
    let vendors = Vendors::new(Addresses::default(), &answers, &watch);
    if evidence.len() == REPORT_LENGTH
        && let Ok(report) = Report::parse(evidence)
    {
        for file in
            amd::fetch(&report, &amd::Have::default(), Some(Product::Milan), &vendors).map(|f| f.files).unwrap_or_default()
        {
            match file.name {
                "crl.der" => drop(RevocationList::from_der("list", &file.bytes).expect("it was read before")),
                _ => drop(Certificate::list_from_pem("certificates", &file.bytes).expect("it was read before")),
            }
        }
    } else if let Ok(quote) = Quote::parse(evidence) {
        for file in intel::fetch(&quote, &vendors).map(|f| f.files).unwrap_or_default() {
            Collateral::parse(&file.bytes).expect("it was read before");
        }
    }
});
