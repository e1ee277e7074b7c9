//! The `sealstone` command: arguments, progress, rendering, exit codes. What it does is done by the other crates.

mod args;
mod commands;
mod exit;
mod html;
mod progress;
mod surroundings;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Verb};

fn main() -> ExitCode {
    // Must come first: the sandbox starts this program again, and that process must become the sandbox's inner side before
    // it has threads, open files or anything else to leak into an action.
    sealstone_sandbox::enter_if_inner();
    let cli = Cli::parse();
    let reporter = progress::Terminal::new(cli.progress);
    let outcome = match &cli.verb {
        Verb::Build(args) => commands::build::run(args, &reporter),
        Verb::Lock(args) => commands::lock::run(args, &reporter),
        Verb::Pack(args) => commands::pack::run(args, &reporter),
        Verb::Measure(args) => commands::measure::run(args),
        Verb::Explain(args) => commands::explain::run(args),
        Verb::Diff(args) => commands::diff::run(args),
        Verb::Reproduce(args) => commands::reproduce::run(args, &reporter),
        Verb::Run(args) => commands::run::run(args, &reporter),
        Verb::Root(args) => commands::root::run(args, &reporter),
        Verb::Seed(args) => commands::seed::run(args, &reporter),
        Verb::Verify(args) => commands::verify::run(args),
        Verb::Collateral(args) => commands::collateral::run(args, &reporter),
        Verb::Chat(args) => commands::chat::run(args),
        Verb::Proxy(args) => commands::proxy::run(args),
        Verb::Release(args) => commands::release::run(args),
        Verb::Page(args) => commands::page::run(args, &reporter),
        Verb::Completions(args) => commands::manual::completions(args),
        Verb::Man(args) => commands::manual::man(args),
        Verb::Doctor(args) => commands::doctor::run(args),
    };
    reporter.finish();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
