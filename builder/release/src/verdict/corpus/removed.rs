//! Nothing is accepted without every check: each is taken out of a verdict that accepts, and it no longer does.

use sealstone_evidence::check::{Check, Outcome};
use sealstone_evidence::snp::Product;

use super::super::appraise::{Roots, collect};
use super::super::{Binding, Endorsement, Verdict};
use super::sample::text;
use super::snp::Snp;
use super::tdx::Tdx;
use super::tpm::Tpm;
use crate::evidence::Evidence;
use crate::pin::{Pin, Validity};
use crate::policy::Policy;
use crate::time::Moment;

struct Sample {
    roots: Roots,
    document: String,
    policy: String,
    binding: Binding,
    at: u64,
}

fn samples() -> [Sample; 3] {
    let (snp, tdx, tpm) = (Snp::new(Product::Genoa, 5), Tdx::new(5), Tpm::new());
    let roots = Roots::Tests(Product::Genoa);
    let quote = tdx.made.quote();
    let collateral = tdx.made.collateral().to_string();
    let document = |value| text(&value);
    [
        Sample { roots, document: document(snp.document(&snp.parts())), policy: snp.policy, binding: snp.binding, at: snp.at },
        Sample {
            roots,
            document: document(tdx.document(&quote, Some(&collateral))),
            policy: tdx.policy,
            binding: tdx.binding,
            at: tdx.at,
        },
        Sample { roots, document: document(tpm.document(&tpm.parts())), policy: tpm.policy, binding: tpm.binding, at: snp.at },
    ]
}

#[test]
fn each_check_is_missed_when_it_is_not_made_or_made_twice_or_skipped() {
    let mut contents = super::sample::contents();
    let moment = |seconds| Moment::from_unix(seconds).unwrap();
    contents.validity = Some(Validity { not_before: moment(0), not_after: moment(4_000_000_000) });
    let pin = Pin::new(contents).unwrap();
    for sample in samples() {
        let evidence = Evidence::parse(sample.document.as_bytes()).unwrap();
        let policy = Policy::parse("policy", &format!("schema: sealstone/policy/v1\n{}", sample.policy)).unwrap();
        let at = moment(sample.at);
        let verdict = |change: &dyn Fn(&mut Vec<Check>)| -> Verdict {
            let mut list = collect(sample.roots, &pin, &evidence, &policy, &sample.binding, &Endorsement::NotAsked, at);
            change(&mut list.checks);
            list.verdict(&pin, &evidence, at)
        };
        let whole = verdict(&|_| {});
        assert!(whole.is_accepted(), "{}", whole.to_text());
        let list = collect(sample.roots, &pin, &evidence, &policy, &sample.binding, &Endorsement::NotAsked, at);
        let ids: Vec<&str> = list.checks.iter().map(|check| check.id).collect();
        // Every check that is made must be made: there are no others.
        for id in &ids {
            let refused = |verdict: &Verdict, how: &str| {
                let complete = verdict.checks().iter().find(|check| check.id == "verdict.complete").unwrap();
                assert!(complete.refused() && complete.found.contains(id), "{id} {how}: {}", complete.found);
                assert_eq!(verdict.exit_code(), 10, "{id} {how}");
            };
            refused(&verdict(&|checks| checks.retain(|check| check.id != *id)), "not made");
            refused(
                &verdict(&|checks| {
                    let again = checks.iter().find(|check| check.id == *id).cloned();
                    checks.extend(again);
                }),
                "made twice",
            );
            // Those that there is something to compare with must not be skipped either.
            if list.decided.contains(id) {
                let skip = |checks: &mut Vec<Check>| {
                    checks.iter_mut().filter(|check| check.id == *id).for_each(|check| check.outcome = Outcome::NotAsked);
                };
                refused(&verdict(&skip), "skipped");
            }
        }
        println!("{}: {} checks, {} of which must be decided", evidence.tee(), ids.len(), list.decided.len());
        assert!(ids.len() >= list.decided.len() && !list.made.is_empty());
    }
}
