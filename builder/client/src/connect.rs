//! One attested connection: handshake, evidence, verdict, and then the stream.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealstone_channel::error::close;
use sealstone_channel::noise::Entropy;
use sealstone_channel::session::{self, Judgement, Progress, Unverified};
use sealstone_channel::stream::{Options, Stream, Wire};
use sealstone_evidence::tpm::Activated;
use sealstone_release::evidence::{Body, Evidence, TpmEvidence};
use sealstone_release::pin::Pin;
use sealstone_release::policy::Policy;
use sealstone_release::time::Moment;
use sealstone_release::verdict::{Binding, Endorsement, Verdict, appraise_endorsed};
use tokio::time::timeout;

use crate::error::refusals;
use crate::upgrade::{self, Io, random};
use crate::{ClientError, Supplement, Target, endorse};

/// From the upgrade to the last of the evidence: the front's own limit, and the way there.
const EVIDENCE: Duration = Duration::from_secs(30);

/// How long nothing may come or go: longer than a front may work on one reply, which is 15 minutes. This is for one that has vanished.
const IDLE: Duration = Duration::from_secs(1200);

/// Machines behind one address whose TPMs this client gets to know on the way to a stream: each takes a session of its own.
const MACHINES: usize = 4;

/// Attestation keys that are kept as shown to be in a certified TPM. They are of one boot, so the oldest may go.
const KEPT: usize = 64;

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
    supplement: Supplement,
    /// Attestation keys that were shown to this client, and to its clones, to be in a TPM with a certified endorsement key.
    shown: Arc<Mutex<Vec<Activated>>>,
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
        Self { target, trust, supplement: Supplement::default(), shown: Arc::default() }
    }

    /// With this in the place of what the machine sends.
    #[must_use]
    pub fn supplemented(self, supplement: Supplement) -> Self {
        Self { supplement, ..self }
    }

    /// Where it connects to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Connects, and comes back with a stream only if the verdict accepts. Nothing but the handshake is sent before, with one exception: if all
    /// that the evidence lacks is that its TPM has a certified endorsement key, and the policy names roots for such keys, a session
    /// is spent on showing it (`docs/formats/evidence.md`), and the stream is a new one.
    ///
    /// # Errors
    /// [`ClientError`]; with [`ClientError::Refused`] the connection is closed already.
    pub async fn connect(&self) -> Result<Attested, ClientError> {
        for _ in 0..MACHINES {
            let (mut wire, judgement) = self.evidence().await?;
            let judged = self.judge(&judgement);
            let (evidence, verdict) = match judged {
                Ok((_, verdict)) if verdict.is_accepted() => {
                    return Ok(Attested { verdict, stream: stream(wire, judgement) });
                }
                Ok((evidence, verdict)) if self.is_worth_asking(&verdict) => (evidence, verdict),
                refused => {
                    let _ = timeout(Duration::from_secs(1), wire.close(close::NORMAL)).await;
                    return Err(refused.map_or_else(|error| error, |(_, verdict)| ClientError::Refused(Box::new(verdict))));
                }
            };
            let Body::Tpm(tpm) = &evidence.body else { return Err(ClientError::Refused(Box::new(verdict))) };
            let hash = judgement.hash().0;
            let endorsement = endorse::exchange(stream(wire, judgement), &tpm.key).await;
            let verdict = self.appraise(&evidence, hash, &endorsement)?;
            match endorsement {
                Endorsement::Shown(activated) if verdict.is_accepted() => self.keep(*activated),
                _ => return Err(ClientError::Refused(Box::new(verdict))),
            }
        }
        Err(ClientError::TimedOut("each connection leads to another machine"))
    }

    /// A new connection's evidence.
    async fn evidence(&self) -> Result<(Wire<Io>, Judgement), ClientError> {
        let mut wire = upgrade::open(&self.target).await?;
        let waiting = timeout(EVIDENCE, evidence(&mut wire)).await;
        let judgement = waiting.map_err(|_| ClientError::TimedOut("its evidence"))??;
        Ok((wire, judgement))
    }

    fn judge(&self, judgement: &Judgement) -> Result<(Evidence, Verdict), ClientError> {
        let mut evidence = Evidence::parse(judgement.document())?;
        self.supplement.add(&mut evidence).map_err(ClientError::Supplement)?;
        let endorsement = match &evidence.body {
            Body::Tpm(tpm) => self.known(tpm),
            _ => Endorsement::NotAsked,
        };
        let verdict = self.appraise(&evidence, judgement.hash().0, &endorsement)?;
        Ok((evidence, verdict))
    }

    fn appraise(&self, evidence: &Evidence, hash: [u8; 32], endorsement: &Endorsement) -> Result<Verdict, ClientError> {
        let at = (self.trust.clock)().ok_or(ClientError::Host("its clock is out of any calendar"))?;
        // No version of the daemon has evidence of devices.
        let binding = Binding::Channel { handshake_hash: hash, device: [0; 32] };
        Ok(appraise_endorsed(&self.trust.pin, evidence, &self.trust.policy, &binding, endorsement, at))
    }

    /// Whether the one thing that this verdict lacks is what an exchange could show.
    fn is_worth_asking(&self, verdict: &Verdict) -> bool {
        !self.trust.policy.tpm.endorsement_roots.is_empty() && refusals(verdict).all(|check| check.id == "tpm.endorsement")
    }

    /// What an earlier session has shown of the key in this evidence. It still holds: the key is the same, and never leaves its TPM.
    fn known(&self, tpm: &TpmEvidence) -> Endorsement {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let same = shown.iter().find(|activated| tpm.key.name.as_deref() == Some(activated.name()));
        same.map_or(Endorsement::NotAsked, |activated| Endorsement::Shown(Box::new(activated.clone())))
    }

    fn keep(&self, activated: Activated) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|other| other.name() != activated.name());
        if shown.len() >= KEPT {
            shown.remove(0);
        }
        shown.push(activated);
    }
}

fn stream(wire: Wire<Io>, judgement: Judgement) -> Stream<Io> {
    // Requests are sent as they are written: what a user types has no rhythm of its own that sizes wouldn't show.
    let options = Options { pace: Duration::ZERO, idle: IDLE };
    Stream::new(wire, judgement.accept(), options)
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
