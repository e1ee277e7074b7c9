//! `sealstone man` and `sealstone completions`: what packagers install beside the program, written from its own help texts.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::exit::{DONE, Outcome};

pub(crate) fn completions(args: &CompletionsArgs) -> Outcome {
    clap_complete::generate(args.shell, &mut Cli::command(), "sealstone", &mut std::io::stdout());
    Ok(DONE)
}

/// One page a verb, named as `man` wants: `sealstone-release-sign.1`.
pub(crate) fn man(args: &ManArgs) -> Outcome {
    fs::create_dir_all(&args.dir)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    pages(&command, "sealstone", &args.dir)?;
    Ok(DONE)
}

fn pages(command: &clap::Command, name: &str, dir: &Path) -> std::io::Result<()> {
    let mut page = Vec::new();
    // clap wants names that live as long as the program; a command names few.
    let static_name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    clap_mangen::Man::new(command.clone().name(static_name).display_name(static_name)).render(&mut page)?;
    fs::write(dir.join(format!("{name}.1")), page)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        pages(below, &format!("{name}-{}", below.get_name()), dir)?;
    }
    Ok(())
}
