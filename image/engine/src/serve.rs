//! The socket: orders in, reports out.
//!
//! Reading has a thread of its own, so that a cancellation is seen while a batch is computed. Reports of a step are written
//! together, and writing waits for the front: one that doesn't read gets no more work done.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sealstone_protocol::{Decoder, Error, Order, Report, encode};

use crate::backend::Backend;
use crate::engine::Engine;

/// Orders that were read and not taken in yet. A front that sends more waits in its socket.
const READ_AHEAD: usize = 64;

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The front closed the socket, which is how a machine shuts down.
    #[error("the front is gone")]
    Front,
    /// The front doesn't speak the protocol.
    #[error("the front sent what is no order: {0}")]
    Order(Error),
    /// A report can't be encoded: a fault of the engine.
    #[error("a report that can't be sent: {0}")]
    Report(Error),
    /// The socket failed.
    #[error("the socket: {0}")]
    Socket(io::Error),
}

/// What the reading thread hands on.
type Read = Result<Order, End>;

/// Starts the thread that reads orders.
///
/// # Errors
/// When there is no thread to be had.
pub fn read_orders(socket: BorrowedFd<'static>) -> io::Result<Receiver<Read>> {
    let (to, orders) = sync_channel(READ_AHEAD);
    // Without a name: the thread would ask the kernel for it when it begins, which may be behind the confinement.
    std::thread::Builder::new().spawn(move || {
        let end = read(socket, &to).err().unwrap_or(End::Front);
        // Without a receiver the engine has ended already.
        let _ = to.send(Err(end));
    })?;
    Ok(orders)
}

fn read(socket: BorrowedFd<'_>, to: &SyncSender<Read>) -> Result<(), End> {
    let mut decoder = Decoder::<Order>::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match rustix::io::read(socket, &mut *buffer) {
            Ok(0) => return Err(End::Front),
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            // What a front that leaves with reports unread looks like.
            Err(rustix::io::Errno::CONNRESET) => return Err(End::Front),
            Err(error) => return Err(End::Socket(error.into())),
        };
        decoder.push(buffer.get(..count).unwrap_or_default());
        while let Some(order) = decoder.message().map_err(End::Order)? {
            if to.send(Ok(order)).is_err() {
                return Ok(());
            }
        }
    }
}

/// Serves until the front is gone, or something is wrong.
pub fn serve<B: Backend>(socket: BorrowedFd<'_>, orders: &Receiver<Read>, mut engine: Engine<B>) -> End {
    let mut reports = Vec::new();
    loop {
        let first = if engine.is_idle() { Some(orders.recv().unwrap_or(Err(End::Front))) } else { None };
        for order in first.into_iter().chain(orders.try_iter()) {
            match order {
                Ok(order) => engine.take(order, &mut reports),
                Err(end) => return end,
            }
        }
        engine.step(&mut reports);
        if let Err(end) = send(socket, &mut reports) {
            return end;
        }
    }
}

/// Writes reports, all of them, and empties the list.
pub fn send(socket: BorrowedFd<'_>, reports: &mut Vec<Report>) -> Result<(), End> {
    let mut bytes = Vec::new();
    for report in reports.drain(..) {
        bytes.extend(encode(&report).map_err(End::Report)?);
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(socket, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Err(End::Front),
            Err(error) => return Err(End::Socket(error.into())),
        }
    }
    Ok(())
}
