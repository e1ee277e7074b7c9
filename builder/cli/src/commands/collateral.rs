//! `sealstone collateral`

use sealstone_collateral::service::{Addresses, Event, Vendors};
use sealstone_collateral::{FetchError, Fetched, amd, for_evidence, intel};
use sealstone_evidence::check::printable;
use sealstone_evidence::snp::{Product, Report};
use sealstone_evidence::tdx::Quote;
use sealstone_inputs::{Documents, Network};
use sealstone_pipeline::progress::{Event as Progress, Reporter};
use sealstone_release::evidence::Evidence;
use serde::Serialize;

use super::measure::{emit, print_json};
use super::verify::parse;
use crate::args::{CollateralArgs, CollateralVerb, FetchArgs};
use crate::exit::{BAD_INPUT, DONE, FAILED, Failure, Outcome};

pub(crate) fn run(args: &CollateralArgs, reporter: &dyn Reporter) -> Outcome {
    match &args.what {
        CollateralVerb::Fetch(args) => fetch(args, reporter),
    }
}

fn fetch(args: &FetchArgs, reporter: &dyn Reporter) -> Outcome {
    let addresses = Addresses::new(args.amd.as_deref(), args.intel.as_deref(), args.intel_root_crl.as_deref())?;
    let network = Documents::new(&Network::from_variables(&|name: &str| std::env::var(name).ok()))?;
    let watch = |event: Event<'_>| {
        let step = match event {
            Event::Asking { what, url } => format!("{what}: asking {url}"),
            Event::Pause { what, problem, pause } => format!("{what}: {problem}; trying again in {:.1} s", pause.as_secs_f64()),
        };
        reporter.event(Progress::Step { step });
    };
    let fetched = ask(args, &Vendors::new(addresses, &network, &watch))?;
    for note in &fetched.notes {
        eprintln!("note: {note}");
    }
    print(args, &fetched)?;
    Ok(DONE)
}

fn ask(args: &FetchArgs, vendors: &Vendors<'_>) -> Result<Fetched, Failure> {
    let product = args.product.map(Product::from);
    let subject = &args.subject;
    Ok(match (&subject.evidence, &subject.report, &subject.quote) {
        (Some(file), ..) => for_evidence(&parse(file, Evidence::parse)?, product, args.renew, vendors)?,
        (_, Some(file), _) => amd::fetch(&parse(file, Report::parse)?, &amd::Have::default(), product, vendors)?,
        (.., Some(file)) => intel::fetch(&parse(file, Quote::parse)?, vendors)?,
        // clap demands one of them.
        _ => return Err(Failure::bad_input("there is no evidence to fetch for")),
    })
}

/// Paths on standard output, one a line; how to use them on standard error.
fn print(args: &FetchArgs, fetched: &Fetched) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Written<'a> {
        path: String,
        /// Option of `verify` that takes it.
        option: &'a str,
        size: usize,
    }
    #[derive(Serialize)]
    struct Report<'a> {
        files: Vec<Written<'a>>,
        notes: &'a [String],
    }
    let paths = if fetched.files.is_empty() { Vec::new() } else { fetched.write(&args.out)? };
    if args.json {
        let written = |(path, file): (&std::path::PathBuf, &'_ sealstone_collateral::File)| Written {
            path: path.display().to_string(),
            option: file.options,
            size: file.bytes.len(),
        };
        return print_json(&Report { files: paths.iter().zip(&fetched.files).map(written).collect(), notes: &fetched.notes });
    }
    if paths.is_empty() {
        eprintln!("nothing is missing");
    }
    for (path, file) in paths.iter().zip(&fetched.files) {
        emit(path.display().to_string())?;
        eprintln!("  for `sealstone verify {} {}`", file.options, path.display());
    }
    Ok(())
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let code = if error.is_input() { BAD_INPUT } else { FAILED };
        Self::new(code, anyhow::anyhow!("{}", printable(&error.to_string())))
    }
}
