//! `sealstone proxy`

use std::io::Write;
use std::sync::Arc;

use sealstone_client::Sessions;
use sealstone_client::proxy::{Proxy, VERDICT};

use super::client;
use crate::args::ProxyArgs;
use crate::exit::{Failure, Outcome, USAGE};

pub(crate) fn run(args: &ProxyArgs) -> Outcome {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        let problem =
            "others could use the image as you, unencrypted on the way to this machine; --allow-remote if that is wanted";
        return Err(Failure::new(USAGE, anyhow::anyhow!("{} isn't loopback: {problem}", args.listen)));
    }
    let sessions = Arc::new(Sessions::new(client::client(&args.trust)?));
    let error = sealstone_client::run(serve(args, sessions))??;
    Err(Failure::failed(format!("accepting connections: {error}")))
}

/// Listens first, so that whoever waits for the port needn't wait for the image; then shows what the image's evidence comes to.
async fn serve(args: &ProxyArgs, sessions: Arc<Sessions>) -> Result<std::io::Error, Failure> {
    let listening = Proxy::bind(args.listen, Arc::clone(&sessions)).await;
    let proxy = listening.map_err(|e| Failure::failed(format!("listening on {}: {e}", args.listen)))?;
    let address = proxy.address()?;
    println!("http://{address}");
    std::io::stdout().flush()?;
    match sessions.session().await {
        Ok(session) => client::show(session.verdict()),
        Err(error) => {
            if let Some(verdict) = error.verdict() {
                client::show(verdict);
            }
            eprintln!("sealstone: {error}; requests get status 502 until that changes, and http://{address}{VERDICT} says why");
        }
    }
    Ok(proxy.serve().await)
}
