//! Arguments of `sealstone chat` and `sealstone proxy`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::VendorArgs;

/// Which image is trusted at the far end.
#[derive(Args, Debug)]
pub(crate) struct TrustArgs {
    /// Where the image answers: http://HOST:PORT
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The pin that the image must satisfy, or a folder with a pin.json
    #[arg(long, value_name = "PIN")]
    pub(crate) pin: PathBuf,
    /// Policy (YAML); without it the defaults hold: no debug, no migration, no Milan, TCB up to date, no unknown TPM
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) vendors: VendorArgs,
}

/// Talk to a model in an attested image
///
/// The image's evidence is judged before anything is sent to it; a refusal ends the program with the verdict's exit code. On a
/// terminal each line is a question; what comes through a pipe is one question, and only the answer goes to standard output.
#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Model to ask [default: the first that the image names]
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// File with the token that an image with `auth` asks for; a line end at its end is left out
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How freely words are chosen: 0 takes the likeliest each time, 2 is the most [default: the image's]
    #[arg(long, value_name = "NUMBER", value_parser = temperature)]
    pub(crate) temperature: Option<f32>,
    /// What the choice starts from: the same question with the same seed gets the same answer [default: another each time]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u32>,
}

/// What the image would refuse is refused before it is asked.
fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=2.0).contains(&value) => Ok(value),
        _ => Err("not a number from 0 to 2".to_owned()),
    }
}

/// Let any OpenAI SDK talk to an attested image, through a server on loopback
///
/// Every connection to the image is judged before a request goes over it. As long as the verdict refuses, requests get status
/// 502 and a JSON error that names the check; GET /verdict shows the whole verdict. Prints the base URL on standard output.
#[derive(Args, Debug)]
pub(crate) struct ProxyArgs {
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Listen on an address that others can reach: they then use the image as you, and what they send to the proxy isn't encrypted
    #[arg(long)]
    pub(crate) allow_remote: bool,
}
