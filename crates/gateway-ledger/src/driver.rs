//! The ledger's background work.

use tokio::sync::watch;

use crate::db::Lane;
use crate::in_flight::InFlightStore;
use crate::maintenance::Maintenance;
use crate::writer::EntryWriter;

/// The ledger's background work, as one future.
pub struct Driver {
    pub(crate) writer: EntryWriter,
    pub(crate) in_flight: InFlightStore,
    pub(crate) maintenance: Maintenance,
    /// The maintenance's own connection to what is in flight.
    pub(crate) sweep_lane: Lane,
    /// Turns true when the ledger is being closed.
    pub(crate) closing: watch::Receiver<bool>,
    /// Is set when everything has ended.
    pub(crate) closed: watch::Sender<bool>,
}

impl Driver {
    /// Runs until [`Ledger::close`]. Dropping this future leaves queued entries unwritten; what was
    /// not acknowledged is then found by its intent at the next start.
    pub async fn run(self) {
        let (end_in_flight, in_flight_closing) = watch::channel(false);
        let writing = async {
            self.writer.run(self.closing.clone()).await;
            // The writer has told the other lane all that it will.
            end_in_flight.send_replace(true);
        };
        tokio::join!(
            writing,
            self.in_flight.run(in_flight_closing),
            self.maintenance.run(self.sweep_lane, self.closing.clone())
        );
        self.closed.send_replace(true);
    }
}
