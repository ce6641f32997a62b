//! `oppose-native generate`: manual pages and completions, generated from the options themselves.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use oppose::output_file::write_file;

use super::terminal::{printable, say};
use super::{Cli, Outcome};

/// The options of `generate`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What to generate
    #[arg(value_enum)]
    what: What,

    /// Write a completion to this file, or the manual pages into this folder [default: standard output]
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// manual pages, one for each subcommand
    Man,
    /// completion for bash
    Bash,
    /// completion for zsh
    Zsh,
    /// completion for fish
    Fish,
}

/// Generates it.
pub fn run(arguments: &Arguments) -> Outcome {
    let output = arguments.output.as_deref();
    let done = match arguments.what {
        What::Man => manual(output),
        What::Bash => completion(Shell::Bash, output),
        What::Zsh => completion(Shell::Zsh, output),
        What::Fish => completion(Shell::Fish, output),
    };
    match done {
        Ok(()) => Outcome::AllDone,
        Err(error) => {
            let place = output.unwrap_or(Path::new("standard output"));
            say(format_args!("cannot write {}: {error}", printable(place)));
            Outcome::NothingRan
        }
    }
}

fn manual(folder: Option<&Path>) -> io::Result<()> {
    let command = Cli::command();
    match folder {
        Some(folder) => {
            if folder.exists() && !folder.is_dir() {
                return Err(io::Error::other("it is not a folder; name one for the pages"));
            }
            fs::create_dir_all(folder)?;
            // Written elsewhere and moved one by one, so that each page appears complete.
            let pages = tempfile::tempdir_in(folder)?;
            clap_mangen::generate_to(command, pages.path())?;
            for page in pages.path().read_dir()? {
                let page = page?;
                let target = folder.join(page.file_name());
                write_file(&target, &fs::read(page.path())?, true)?;
            }
            Ok(())
        }
        None => clap_mangen::Man::new(command).render(&mut io::stdout().lock()),
    }
}

fn completion(shell: Shell, file: Option<&Path>) -> io::Result<()> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    match file {
        Some(file) => write_file(file, &script, true),
        None => io::Write::write_all(&mut io::stdout().lock(), &script),
    }
}
