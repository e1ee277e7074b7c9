//! An engine as the front sees it: one socket that any number of requests share.
//!
//! A task reads the socket and gives each report to the request whose id it bears; another writes orders in the order in
//! which they came. A request holds one of a bounded number of places until the engine has said its last word about it,
//! also when its client has long gone: so the engine never has more of them than [`Limits::requests`].

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sealstone_protocol::{Decoder, Facts, Order, Report, RequestId, encode};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;

use crate::event::{self, EngineEvent, Event};

/// The descriptor of the first model's socket; the next model's is the next one. init has the same number.
pub const FIRST_SOCKET: RawFd = 3;

/// Bytes taken from the socket at once.
const READ: usize = 64 * 1024;

/// Bounds on an engine's requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that the engine has at a time, those that wait in it and those that were cancelled included. Beyond them
    /// clients are sent away. Below the engine's own bound (1024), so that this one is met first.
    pub requests: usize,
    /// Reports that wait for a client that reads more slowly than the engine writes; beyond them its request is
    /// cancelled, because neither can the others wait nor memory grow.
    pub reports: usize,
    /// From an order to its last report.
    pub time: Duration,
}

impl Limits {
    /// What the image uses.
    pub const DEFAULT: Limits = Limits { requests: 256, reports: 4096, time: Duration::from_secs(900) };
}

/// Why an order wasn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The model isn't loaded yet.
    Loading,
    /// The engine has ended, or never was. It doesn't come back before the next boot.
    Gone,
    /// Every place is taken.
    Busy,
    /// A field is out of the protocol's range: a fault here, because requests are checked before.
    Unencodable,
}

/// Why a request has no further reports, although the last one hasn't come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The engine has ended.
    Gone,
    /// The client took the reports too slowly.
    Slow,
    /// It took longer than [`Limits::time`].
    Time,
}

/// What an engine can do at the moment.
#[derive(Clone, Debug)]
pub enum State {
    /// It hasn't said hello.
    Loading,
    /// It takes orders.
    Ready(Arc<Facts>),
    /// It takes none any more.
    Gone,
}

/// The front's end of an engine's socket. A clone is the same.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    index: usize,
    limits: Limits,
    places: Arc<Semaphore>,
    next: AtomicU64,
    orders: mpsc::UnboundedSender<Vec<u8>>,
    /// Never held across a wait.
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    state: State,
    requests: BTreeMap<u64, Pending>,
}

/// A request of which the engine hasn't said the last word.
#[derive(Debug)]
struct Pending {
    /// `None` once nobody wants to know.
    reports: Option<mpsc::Sender<Report>>,
    /// Given back when this is dropped.
    _place: OwnedSemaphorePermit,
    /// So is this: what the request takes of something that others share.
    _room: Option<OwnedSemaphorePermit>,
}

impl Client {
    /// Serves `socket` with tasks of the current runtime; `index` is the model's in the configuration and `name` its name,
    /// which the engine has to say, too.
    pub fn start(socket: UnixStream, index: usize, name: &str, limits: Limits) -> Client {
        let (orders, to_write) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(index, limits, orders, State::Loading));
        let socket = Arc::new(socket);
        tokio::spawn(write(Arc::clone(&socket), to_write));
        tokio::spawn(read(socket, Arc::clone(&shared), name.to_owned()));
        Client(shared)
    }

    /// In place of an engine that has no socket.
    pub fn absent(index: usize) -> Client {
        let (orders, _) = mpsc::unbounded_channel();
        Client(Arc::new(Shared::new(index, Limits::DEFAULT, orders, State::Gone)))
    }

    /// What the engine can do now.
    pub fn state(&self) -> State {
        self.0.table().state.clone()
    }

    /// The model's facts.
    ///
    /// # Errors
    /// There are none yet, or no more.
    pub fn facts(&self) -> Result<Arc<Facts>, Refused> {
        match self.state() {
            State::Loading => Err(Refused::Loading),
            State::Ready(facts) => Ok(facts),
            State::Gone => Err(Refused::Gone),
        }
    }

    /// Gives the engine an order, which must bear the id that it is made with. `room` is given back after the last report.
    ///
    /// # Errors
    /// Then the engine hasn't got it.
    pub fn order(&self, make: impl FnOnce(RequestId) -> Order, room: Option<OwnedSemaphorePermit>) -> Result<Replies, Refused> {
        self.facts()?;
        let place = Arc::clone(&self.0.places).try_acquire_owned().map_err(|_| Refused::Busy)?;
        let id = RequestId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let frame = encode(&make(id)).map_err(|_| Refused::Unencodable)?;
        let (send, reports) = mpsc::channel(self.0.limits.reports);
        self.0.table().requests.insert(id.0, Pending { reports: Some(send), _place: place, _room: room });
        // From here on dropping it tidies up.
        let deadline = Box::pin(tokio::time::sleep(self.0.limits.time));
        let replies = Replies { id, reports, deadline, shared: Arc::clone(&self.0), ended: false };
        self.0.orders.send(frame).map_err(|_| Refused::Gone)?;
        Ok(replies)
    }
}

impl Shared {
    fn new(index: usize, limits: Limits, orders: mpsc::UnboundedSender<Vec<u8>>, state: State) -> Shared {
        Shared {
            index,
            limits,
            places: Arc::new(Semaphore::new(limits.requests)),
            next: AtomicU64::new(1),
            orders,
            table: Mutex::new(Table { state, requests: BTreeMap::new() }),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a report on. `None` when it can't come from an engine in its senses.
    fn take(&self, report: Report, name: &str) -> Option<()> {
        let mut table = self.table();
        let (id, last) = match (&table.state, &report) {
            (State::Loading, Report::Hello(facts)) => {
                if facts.name != name {
                    return None;
                }
                table.state = State::Ready(Arc::new((**facts).clone()));
                event::log(&Event::Engine { model: self.index, event: EngineEvent::Ready });
                return Some(());
            }
            (State::Ready(_), Report::Token(token)) => (token.id, false),
            (State::Ready(_), Report::Done(done)) => (done.id, true),
            (State::Ready(_), Report::Embedding(embedding)) => (embedding.id, true),
            (State::Ready(_), Report::Tokens(tokens)) => (tokens.id, true),
            (State::Ready(_), Report::Failed { id, .. }) => (*id, true),
            _ => return None,
        };
        let pending = table.requests.get_mut(&id.0)?;
        let fits = pending.reports.as_ref().is_none_or(|reports| reports.try_send(report).is_ok());
        if last {
            table.requests.remove(&id.0);
        } else if !fits {
            // The receiver finds the end of its channel without a last report.
            pending.reports = None;
            self.cancel(id);
        }
        Some(())
    }

    fn cancel(&self, id: RequestId) {
        // An id always encodes, and without a writer there is nothing to cancel.
        if let Ok(frame) = encode(&Order::Cancel(id)) {
            let _ = self.orders.send(frame);
        }
    }

    /// The engine has ended or can't be trusted: so have all its requests.
    fn lose(&self, how: EngineEvent) {
        let mut table = self.table();
        if !matches!(table.state, State::Gone) {
            table.state = State::Gone;
            event::log(&Event::Engine { model: self.index, event: how });
        }
        table.requests.clear();
    }
}

/// Until the engine takes no more. Then it is for the reader to say so, perhaps after reports that are on their way.
async fn write(socket: Arc<UnixStream>, mut orders: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(frame) = orders.recv().await {
        if write_all(&socket, &frame).await.is_err() {
            return;
        }
    }
}

async fn write_all(socket: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read(socket: Arc<UnixStream>, shared: Arc<Shared>, name: String) {
    let how = read_reports(&socket, &shared, &name).await;
    shared.lose(how);
    // Another descriptor of it is open (see `inherited`): closing this one alone wouldn't tell the engine.
    let _ = rustix::net::shutdown(&*socket, rustix::net::Shutdown::Both);
}

/// Until the stream ends, by whichever side's doing.
async fn read_reports(socket: &UnixStream, shared: &Shared, name: &str) -> EngineEvent {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; READ];
    loop {
        if socket.readable().await.is_err() {
            return EngineEvent::Ended;
        }
        match socket.try_read(&mut buffer) {
            Ok(0) => return EngineEvent::Ended,
            Ok(count) => decoder.push(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return EngineEvent::Ended,
        }
        loop {
            match decoder.message() {
                Ok(Some(report)) => {
                    if shared.take(report, name).is_none() {
                        return EngineEvent::Nonsense;
                    }
                }
                Ok(None) => break,
                Err(_) => return EngineEvent::Nonsense,
            }
        }
        // An engine that always has something to say doesn't keep the front from its other work.
        tokio::task::yield_now().await;
    }
}

/// What the engine says about one request. Dropped before its last report, it cancels the request.
#[derive(Debug)]
pub struct Replies {
    id: RequestId,
    reports: mpsc::Receiver<Report>,
    deadline: Pin<Box<Sleep>>,
    shared: Arc<Shared>,
    ended: bool,
}

impl Replies {
    /// The next report.
    ///
    /// # Errors
    /// There will be none; after the last report that is [`Lost::Gone`], too.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Report, Lost>> {
        if let Poll::Ready(report) = self.reports.poll_recv(cx) {
            return Poll::Ready(report.ok_or_else(|| self.why()).inspect(|report| {
                self.ended = !matches!(report, Report::Token(_));
            }));
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(Lost::Time))
    }

    /// [`Replies::poll_next`] as a future.
    ///
    /// # Errors
    /// As there.
    pub async fn next(&mut self) -> Result<Report, Lost> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn why(&self) -> Lost {
        match self.shared.table().state {
            State::Gone => Lost::Gone,
            State::Loading | State::Ready(_) => Lost::Slow,
        }
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let wanted = self.shared.table().requests.get_mut(&self.id.0).and_then(|pending| pending.reports.take());
        if wanted.is_some() {
            self.shared.cancel(self.id);
        }
    }
}

/// The socket that was inherited as descriptor `number`; `None` if that isn't a Unix socket, as when nothing was inherited.
///
/// It is a second descriptor of the same socket, because no safe code can say that nobody else owns the first. So call this
/// before anything else is opened, which would have that number otherwise.
pub fn inherited(number: RawFd) -> Option<StdUnixStream> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let itself = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    if itself.as_raw_fd() == number {
        return None;
    }
    let socket = StdUnixStream::from(pidfd_getfd(itself, number, PidfdGetfdFlags::empty()).ok()?);
    // Asks the kernel for the address, and refuses another family than Unix.
    socket.local_addr().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}
