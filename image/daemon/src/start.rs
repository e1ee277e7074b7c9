//! From an exec by init to a confined process that serves.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sealstone_config::MeasuredConfig;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::{self, engine};
use crate::auth::Auth;
use crate::channel::{self, Channel, Source};
use crate::confine::{self, Opens};
use crate::event::{self, Event, Refusal};
use crate::evidence::quotes::{Quoter, Quotes};
use crate::evidence::reports::Reporter;
use crate::evidence::tsm::{Folder, Tee};
use crate::evidence::{Kind, Sources, document};
use crate::front::{Answer, Front};
use crate::life::{Ended, Life};
use crate::server::{self, Limits};
use crate::tpm::Device;

/// Where init mounts model packs.
const PACKS: &str = "/packs";

/// What the front writes to its standard output once it listens and is confined. init waits for exactly this.
const READY: &[u8] = b"ready\n";

/// The environment that init gives the daemon: has the C library overwrite what is freed (`malloc.perturb`; the value that freed bytes
/// get), which it does only for what it keeps in no cache of a thread's. So requests and replies don't stay behind, whichever of
/// the crates held them. Of each piece the last 8 bytes may remain, and so may the stack. Source: glibc 2.36, `malloc/malloc.c`, `free_perturb`.
pub const ENVIRONMENT: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.perturb=255:glibc.malloc.tcache_count=0");

/// All that the daemon's process does. init starts it without arguments, with [`ENVIRONMENT`] and nothing else in its environment; standard output is init's status pipe.
pub fn main() -> ExitCode {
    event::log_panics();
    match run() {
        Ok(ended) => {
            event::log(&Event::Drained(ended));
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            event::log(&Event::Refused(refusal));
            ExitCode::FAILURE
        }
    }
}

/// Comes up and serves until it is asked to end; what was cut off then.
fn run() -> Result<Ended, Refusal> {
    if rustix::process::geteuid().is_root() {
        return Err(Refusal::Privileged);
    }
    let measured = read_config(Path::new(sealstone_config::PATH))?;
    // Before anything else is opened: a descriptor that wasn't inherited would have its number.
    let sockets: Vec<_> = (engine::FIRST_SOCKET..).take(measured.config().models.len()).map(engine::inherited).collect();
    let sources = Sources::system();
    let evidence = sources.choose(measured.config().attestation).ok_or(Refusal::NoEvidence)?;
    event::log(&Event::Evidence(evidence));

    let port = measured.config().network.port.get();
    let listener = listen(port).map_err(|e| Refusal::Listen(event::errno(&e)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|e| Refusal::Runtime(event::errno(&e)))?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(|e| Refusal::Runtime(event::errno(&e)))?
    };

    let auth = measured.config().auth.as_ref().map(Auth::new).transpose().map_err(|_| Refusal::WeakKey)?;
    let mut front = Front::new(&measured, evidence, Path::new(PACKS));
    if let Some(auth) = auth {
        front = front.with_auth(auth);
    }
    match evidence {
        Kind::Tpm2 => {
            let quotes = runtime.block_on(quotes(&sources, &measured))?;
            front = front.with_quotes(quotes.clone()).with_channel(channel(Source::Tpm(quotes))?);
        }
        Kind::Insecure => front = front.with_channel(channel(Source::Insecure(document::insecure(&measured)))?),
        // Below, once files are restricted.
        Kind::SevSnp | Kind::Tdx => {}
    }
    {
        let _inside = runtime.enter();
        if let Some(api) = api::attach(&measured, sockets) {
            front = front.with_api(api);
        }
        end_at_sigterm(front.life().clone()).map_err(|e| Refusal::Runtime(event::errno(&e)))?;
    }

    // The TPM isn't among the files that stay reachable: it is open.
    let reporter = Tee::of(evidence).map(|tee| reporter(tee, evidence, &sources, &measured)).transpose()?;
    let opens = if reporter.is_some() { Opens::Evidence } else { Opens::Nothing };
    let reachable = [sources.tsm_entry.as_path()];
    confine::files(if reporter.is_some() { &reachable } else { &[] }).map_err(Refusal::Confine)?;
    if let Some(reporter) = reporter {
        // Its thread has the restriction of files from this one, and the filter for calls reaches all threads.
        let reports = reporter.start().map_err(|e| Refusal::Thread(event::errno(&e)))?;
        front = front.with_quotes(reports.clone()).with_channel(channel(Source::Tee(reports))?);
    }
    confine::calls(opens).map_err(Refusal::Confine)?;
    event::log(&Event::Listening { port });
    std::io::stdout().write_all(READY).map_err(|e| Refusal::Status(event::errno(&e)))?;
    runtime.block_on(server::serve(listener, Arc::new(front), Limits::DEFAULT)).map_err(|_| Refusal::Ended)
}

/// Opens the TPM, makes this boot's attestation key in it, and starts the task that quotes.
async fn quotes(sources: &Sources, measured: &MeasuredConfig) -> Result<Quotes, Refusal> {
    let event_log = sources.event_log(Kind::Tpm2).map_err(Refusal::EventLog)?;
    let device = Device::open(&sources.tpm).map_err(|e| Refusal::Tpm(event::errno(&e)))?;
    Ok(Quoter::new(device, measured, &event_log).await.map_err(Refusal::Attestation)?.start())
}

/// What asks the processor for reports, through the entry that init has made.
fn reporter(tee: Tee, kind: Kind, sources: &Sources, measured: &MeasuredConfig) -> Result<Reporter<Folder>, Refusal> {
    let event_log = sources.event_log(kind).map_err(Refusal::EventLog)?;
    Ok(Reporter::new(Folder(sources.tsm_entry.clone()), tee, measured, &event_log))
}

/// Has a task of the current runtime end `life` at SIGTERM: init's word that the machine is to be switched off.
///
/// # Errors
/// The kernel doesn't take the handler.
pub fn end_at_sigterm(life: Life) -> std::io::Result<()> {
    let mut asked = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        if asked.recv().await.is_some() {
            event::log(&Event::Draining);
            life.end();
        }
    });
    Ok(())
}

fn channel(source: Source) -> Result<Channel, Refusal> {
    Channel::new(source, channel::Limits::DEFAULT).map_err(|e| Refusal::Random(e.raw_os_error()))
}

fn read_config(path: &Path) -> Result<MeasuredConfig, Refusal> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(sealstone_config::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|e| Refusal::ConfigUnreadable(event::errno(&e)))?;
    MeasuredConfig::parse(bytes).map_err(|_| Refusal::ConfigInvalid)
}

/// The listening socket. What it accepts inherits TCP_NODELAY: small messages are what there is to send, the channel coalesces
/// them by itself, and to set it on each connection would take one more system call that the confinement has to let through.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_sends_at_once() {
        let listener = listen(0).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }
}
