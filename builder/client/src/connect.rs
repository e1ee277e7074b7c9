//! One attested connection: handshake, evidence, verdict, and then the stream.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealstone_channel::error::close;
use sealstone_channel::noise::Entropy;
use sealstone_channel::session::{self, Judgement, Progress, Unverified};
use sealstone_channel::stream::{Options, Stream, Wire};
use sealstone_release::evidence::Evidence;
use sealstone_release::pin::Pin;
use sealstone_release::policy::Policy;
use sealstone_release::time::Moment;
use sealstone_release::verdict::{Binding, Verdict, appraise};
use tokio::time::timeout;

use crate::upgrade::{self, Io, random};
use crate::{ClientError, Target};

/// From the upgrade to the last of the evidence: the front's own limit, and the way there.
const EVIDENCE: Duration = Duration::from_secs(30);

/// How long nothing may come or go. The front's limit is shorter; this is for one that has vanished.
const IDLE: Duration = Duration::from_secs(600);

/// What is trusted, and when.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The image that the far end must run.
    pub pin: Pin,
    /// What else its evidence must satisfy.
    pub policy: Policy,
    /// The clock by which evidence is judged.
    pub clock: fn() -> Option<Moment>,
}

/// This machine's clock; nothing before 1970 or after 9999.
pub fn now() -> Option<Moment> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Moment::from_unix(since.as_secs())
}

/// Connects to one front. Every connection is judged anew.
#[derive(Clone, Debug)]
pub struct Client {
    target: Target,
    trust: Trust,
}

/// A stream to a machine whose evidence was accepted.
#[derive(Debug)]
pub struct Attested {
    /// The verdict, which accepts.
    pub verdict: Verdict,
    /// The stream, encrypted to that machine.
    pub stream: Stream<Io>,
}

impl Client {
    /// To `target`, which has to satisfy `trust`.
    pub fn new(target: Target, trust: Trust) -> Self {
        Self { target, trust }
    }

    /// Where it connects to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Connects, and comes back with a stream only if the verdict accepts. Nothing but the handshake is sent before.
    ///
    /// # Errors
    /// [`ClientError`]; with [`ClientError::Refused`] the connection is closed already.
    pub async fn connect(&self) -> Result<Attested, ClientError> {
        let mut wire = upgrade::open(&self.target).await?;
        let waiting = timeout(EVIDENCE, evidence(&mut wire)).await;
        let judgement = waiting.map_err(|_| ClientError::TimedOut("its evidence"))??;
        let verdict = match self.judge(&judgement) {
            Ok(verdict) if verdict.is_accepted() => verdict,
            refused => {
                let _ = timeout(Duration::from_secs(1), wire.close(close::NORMAL)).await;
                return Err(refused.map_or_else(|error| error, |verdict| ClientError::Refused(Box::new(verdict))));
            }
        };
        // Requests are sent as they are written: what a user types has no rhythm of its own that sizes wouldn't show.
        let options = Options { pace: Duration::ZERO, idle: IDLE };
        Ok(Attested { verdict, stream: Stream::new(wire, judgement.accept(), options) })
    }

    fn judge(&self, judgement: &Judgement) -> Result<Verdict, ClientError> {
        let evidence = Evidence::parse(judgement.document())?;
        let at = (self.trust.clock)().ok_or(ClientError::Host("its clock is out of any calendar"))?;
        // No version of the daemon has evidence of devices.
        let binding = Binding::Channel { handshake_hash: judgement.hash().0, device: [0; 32] };
        Ok(appraise(&self.trust.pin, &evidence, &self.trust.policy, &binding, at))
    }
}

/// The handshake and the evidence, unjudged.
async fn evidence(wire: &mut Wire<Io>) -> Result<Judgement, ClientError> {
    let (client, hello) = session::Client::start(Entropy::new(random()?))?;
    wire.send(&hello).await?;
    let mut waiting: Unverified = client.reply(&receive(wire).await?)?;
    loop {
        match waiting.message(&receive(wire).await?)? {
            Progress::More(more) => waiting = more,
            Progress::Complete(judgement) => return Ok(judgement),
        }
    }
}

async fn receive(wire: &mut Wire<Io>) -> Result<Vec<u8>, ClientError> {
    wire.receive().await.map_err(ClientError::of_handshake)
}
