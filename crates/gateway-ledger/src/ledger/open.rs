//! Opening a ledger: what must be repaired before the first request, and the tasks that write.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{Inner, Lanes, Ledger};
use crate::db::{DatabaseTarget, Lane, Pool, Storage};
use crate::driver::Driver;
use crate::entry::LedgerEntry;
use crate::error::LedgerError;
#[cfg(doc)]
use crate::error::LedgerErrorKind;
use crate::in_flight::{IN_FLIGHT_QUEUE, InFlightStore, leases};
use crate::maintenance::Maintenance;
use crate::options::OpenOptions;
use crate::recovery;
use crate::revision::revision;
use crate::shared::Shared;
use crate::spool::Spool;
use crate::time::micros;
use crate::writer::{EntryWriter, WRITER_QUEUE};

/// An open ledger and what opening it brought to light.
pub struct Opened {
    /// The handle.
    pub ledger: Ledger,
    /// Does the writing; see [`Driver::run`].
    pub driver: Driver,
    /// What an earlier life of this instance left open, now settled as interrupted.
    pub interrupted: Vec<LedgerEntry>,
}

/// The connections that belong to one task each.
struct OwnLanes {
    writer: Lane,
    in_flight: Lane,
    /// A sweep must not hold up intents.
    sweep: Lane,
}

impl Ledger {
    /// Opens the ledger of a serving gateway: brings the schema up to date, writes what the spool
    /// holds, and settles what this instance left behind.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use gateway_ledger::{Durability, InstanceId, Ledger, OpenOptions, Opened};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// let Opened { ledger, driver, interrupted } = Ledger::open(OpenOptions {
    ///     url: "sqlite".to_owned(),
    ///     data_dir: dir.path().to_owned(),
    ///     instance: InstanceId::new("gateway-1"),
    ///     durability: Durability::Committed,
    ///     retention: None,
    ///     lease: Duration::from_secs(30),
    ///     time_zone: jiff::tz::TimeZone::UTC,
    ///     clock: Arc::new(jiff::Timestamp::now),
    /// })
    /// .await?;
    /// let running = tokio::spawn(driver.run());
    /// assert!(interrupted.is_empty() && ledger.health().ok);
    ///
    /// ledger.close().await;
    /// running.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LedgerErrorKind::Invalid`] for a URL that is none of the forms of [`OpenOptions::url`];
    /// [`LedgerErrorKind::Unavailable`] when the store or the data directory cannot be used;
    /// [`LedgerErrorKind::Corrupt`] when the schema is not one of this program's.
    pub async fn open(options: OpenOptions) -> Result<Opened, LedgerError> {
        std::fs::create_dir_all(&options.data_dir).map_err(|error| {
            LedgerError::io("a directory cannot be created", error).at(&options.data_dir)
        })?;
        let storage = Storage::parse(&options.url, &options.data_dir)?;
        storage.migrate().await?;
        let mut own = OwnLanes {
            writer: Lane::connect(storage.writer()).await?,
            in_flight: Lane::connect(storage.in_flight()).await?,
            sweep: Lane::connect(storage.in_flight()).await?,
        };
        let opening = Opening {
            spool: Spool::open(&options.data_dir.join("spool"))?,
            shared: Arc::new(Shared::new(
                options.instance.clone(),
                options.time_zone.clone(),
                Arc::clone(&options.clock),
            )),
            pool: storage.pool(),
            in_flight_target: storage.in_flight(),
            options,
        };
        let interrupted = opening.recover(&mut own).await?;
        let revision = revision(&opening.pool).await?;
        let (ledger, driver) = opening.start(own, revision);
        Ok(Opened {
            ledger,
            driver,
            interrupted,
        })
    }

    /// A handle for a tool beside a serving gateway: it reads and administers, and cannot record
    /// exchanges. Touches neither the spool nor the intents of others.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub async fn attach(options: OpenOptions) -> Result<Self, LedgerError> {
        let storage = Storage::parse(&options.url, &options.data_dir)?;
        storage.migrate().await?;
        let shared = Shared::new(options.instance, options.time_zone, options.clock);
        let inner = Inner {
            pool: storage.pool(),
            in_flight_target: storage.in_flight(),
            shared: Arc::new(shared),
            revision: watch::Sender::new(0),
            lanes: None,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

/// A ledger between the first connection and its handle.
struct Opening {
    options: OpenOptions,
    pool: Pool,
    in_flight_target: DatabaseTarget,
    shared: Arc<Shared>,
    spool: Spool,
}

impl Opening {
    /// Settles what an earlier life of this instance left, and takes its lease.
    async fn recover(&self, own: &mut OwnLanes) -> Result<Vec<LedgerEntry>, LedgerError> {
        let shared = &self.shared;
        // The spool first: an entry in it is the truth about an intent that would else become
        // `interrupted`.
        recovery::empty_spool(&self.spool, &mut own.writer, shared).await?;
        let left = recovery::settle_own(&mut own.sweep, &mut own.writer, shared).await?;
        let until = shared.now().saturating_add(micros(self.options.lease));
        leases::renew(&mut own.sweep.link().await?, &shared.instance, until).await?;
        Ok(left)
    }

    fn start(self, own: OwnLanes, revision: i64) -> (Ledger, Driver) {
        let (writer, writer_queue) = mpsc::channel(WRITER_QUEUE);
        let (in_flight, in_flight_queue) = mpsc::channel(IN_FLIGHT_QUEUE);
        let (closing, is_closing) = watch::channel(false);
        let (close, closed) = watch::channel(false);
        let revision = watch::Sender::new(revision);
        let shared = || Arc::clone(&self.shared);
        let driver = Driver {
            writer: EntryWriter::new(
                own.writer,
                writer_queue,
                in_flight.clone(),
                self.spool.clone(),
                shared(),
            ),
            in_flight: InFlightStore::new(own.in_flight, in_flight_queue, shared()),
            maintenance: Maintenance {
                writer: writer.clone(),
                in_flight: in_flight.clone(),
                spool: self.spool.clone(),
                shared: shared(),
                pool: self.pool.clone(),
                revision: revision.clone(),
                lease: self.options.lease,
                retention: self.options.retention,
            },
            sweep_lane: own.sweep,
            closing: is_closing,
            closed: close,
        };
        let lanes = Lanes {
            writer,
            in_flight,
            spool: self.spool,
            durability: self.options.durability,
            closing,
            closed,
        };
        let inner = Inner {
            pool: self.pool,
            in_flight_target: self.in_flight_target,
            shared: self.shared,
            revision,
            lanes: Some(lanes),
        };
        let ledger = Ledger {
            inner: Arc::new(inner),
        };
        (ledger, driver)
    }
}
