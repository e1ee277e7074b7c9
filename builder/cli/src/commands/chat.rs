//! `sealstone chat`

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sealstone_client::chat::{ChatError, Conversation, Manner};
use sealstone_client::{ClientError, Sessions};

use super::client;
use crate::args::ChatArgs;
use crate::exit::{BAD_INPUT, DONE, FAILED, Failure, Outcome};

pub(crate) fn run(args: &ChatArgs) -> Outcome {
    let (manner, sessions) = (manner(args)?, Sessions::new(client::client(&args.trust)?));
    sealstone_client::run(talk(manner, &sessions))?
}

/// How to talk; a token that can't be read is found before anybody is asked anything.
fn manner(args: &ChatArgs) -> Result<Manner, Failure> {
    let read = |file: &PathBuf| match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Err(Failure::bad_input(format!("reading {}: {error}", file.display()))),
    };
    let token = args.token_file.as_ref().map(read).transpose()?;
    Ok(Manner { model: args.model.clone(), token, temperature: args.temperature, seed: args.seed })
}

async fn talk(manner: Manner, sessions: &Sessions) -> Outcome {
    match sessions.session().await {
        Ok(session) => client::show(session.verdict()),
        Err(error) => return refused(error),
    }
    let mut conversation = match Conversation::open(sessions, manner).await {
        Ok(conversation) => conversation,
        Err(error) => return failed(error),
    };
    if !std::io::stdin().is_terminal() {
        let mut question = String::new();
        std::io::stdin().read_to_string(&mut question).map_err(|e| Failure::bad_input(format!("reading standard input: {e}")))?;
        return ask(&mut conversation, question.trim_end()).await.map_or_else(failed, |()| Ok(DONE));
    }
    eprintln!("talking to {}; an empty line or end of file ends it", conversation.model());
    loop {
        eprint!("> ");
        let mut question = String::new();
        // Blocks this thread; the session rests meanwhile, and one that has ended in the pause is replaced by the next question.
        std::io::stdin().lock().read_line(&mut question)?;
        match question.trim() {
            "" => return Ok(DONE),
            question => match ask(&mut conversation, question).await {
                Ok(()) => {}
                // The image refuses this question; the next may be better.
                Err(error @ ChatError::Status { .. }) => eprintln!("sealstone: {error}"),
                Err(error) => return failed(error),
            },
        }
    }
}

/// How long a question waits for an engine that still reads its model; a machine without acceleration takes seconds for the smallest.
const LOADING: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(500);

/// One question; its answer goes to standard output as it comes.
async fn ask(conversation: &mut Conversation<'_>, question: &str) -> Result<(), ChatError> {
    let mut output = std::io::stdout();
    let started = Instant::now();
    let mut said = false;
    loop {
        let result = conversation
            .ask(question, |piece| {
                let _ = output.write_all(piece.as_bytes()).and_then(|()| output.flush());
            })
            .await;
        match result {
            Err(ChatError::Loading) if started.elapsed() < LOADING => {
                if !std::mem::replace(&mut said, true) {
                    eprintln!("the image is still loading the model; waiting");
                }
                // The connection rests with this thread; nobody misses it for half a second.
                std::thread::sleep(PAUSE);
            }
            result => {
                println!();
                return result;
            }
        }
    }
}

fn failed(error: ChatError) -> Outcome {
    match error {
        ChatError::Client(error) => refused(error),
        error => Err(Failure::failed(error)),
    }
}

/// A refusal is a verdict, with its own exit code; anything else is an error.
fn refused(error: ClientError) -> Outcome {
    match error {
        ClientError::Refused(verdict) => {
            client::show(&verdict);
            Ok(verdict.exit_code())
        }
        ClientError::Evidence(_) | ClientError::Supplement(_) => Err(Failure::new(BAD_INPUT, error)),
        error => Err(Failure::new(FAILED, error)),
    }
}
