//! Opening: what has to be put right before the first request, and who will do the writing.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{Driver, Inner, Lanes, Ledger, OpenOptions, Opened};
use crate::changes;
use crate::db::Lane;
use crate::db::open::{Storage, Target};
use crate::entry::LedgerEntry;
use crate::error::{LedgerError, LedgerErrorKind};
use crate::keeper::{self, Keeper, micros};
use crate::live::{self, LIVE_QUEUE, Live};
use crate::shared::Shared;
use crate::spool::Spool;
use crate::tables::Stored;
use crate::writer::{self, WRITER_QUEUE, Writer};

/// Entries taken from the spool at once.
const SPOOL_CHUNK: usize = 256;

impl Ledger {
    /// Opens the ledger of a serving gateway: brings the schema up to date, writes what the spool
    /// holds, and settles what this instance left behind. Fails when the store does not answer.
    pub async fn open(options: OpenOptions) -> Result<Opened, LedgerError> {
        let OpenOptions {
            url,
            data_dir,
            instance,
            durability,
            retention,
            lease,
            time_zone,
            clock,
        } = options;
        std::fs::create_dir_all(&data_dir)
            .map_err(|error| LedgerError::io("the data directory cannot be made", error))?;
        let storage = Storage::parse(&url, &data_dir)?;
        storage.migrate().await?;
        let shared = Arc::new(Shared::new(instance, time_zone, clock));
        let mut writer_lane = lane(storage.writer()).await?;
        let mut keeper_lane = lane(storage.live()).await?;
        let spool = Spool::open(&data_dir.join("spool"))?;
        // The spool first: an entry in it is the truth about an intent that would else become
        // `interrupted`.
        empty_spool(&spool, &mut writer_lane, &shared).await?;
        let interrupted = settle_own(&mut keeper_lane, &mut writer_lane, &shared).await?;
        let until = shared.now().saturating_add(micros(lease));
        live::renew(&mut keeper_lane.link().await?, &shared.instance, until).await?;

        let pool = storage.pool();
        let revision = watch::Sender::new(changes::revision(&pool).await?);
        let (writer, writer_queue) = mpsc::channel(WRITER_QUEUE);
        let (live, live_queue) = mpsc::channel(LIVE_QUEUE);
        let (closing, is_closing) = watch::channel(false);
        let (close, closed) = watch::channel(false);
        let driver = Driver {
            writer: Writer {
                lane: writer_lane,
                queue: writer_queue,
                live: live.clone(),
                spool: spool.clone(),
                shared: Arc::clone(&shared),
            },
            live: Live {
                lane: lane(storage.live()).await?,
                queue: live_queue,
                shared: Arc::clone(&shared),
            },
            keeper: Keeper {
                lane: Some(keeper_lane),
                writer: writer.clone(),
                live: live.clone(),
                spool: spool.clone(),
                shared: Arc::clone(&shared),
                pool: pool.clone(),
                revision: revision.clone(),
                lease,
                retention,
            },
            closing: is_closing,
            closed: close,
        };
        let lanes = Lanes {
            writer,
            live,
            spool,
            durability,
            closing,
            closed,
        };
        let inner = Inner {
            pool,
            live_target: storage.live(),
            shared,
            revision,
            lanes: Some(lanes),
        };
        Ok(Opened {
            ledger: Self {
                inner: Arc::new(inner),
            },
            driver,
            interrupted,
        })
    }

    /// A handle for a tool beside a serving gateway: it reads and administers, and cannot record
    /// exchanges. Touches neither the spool nor anybody's intents.
    pub async fn attach(options: OpenOptions) -> Result<Self, LedgerError> {
        let storage = Storage::parse(&options.url, &options.data_dir)?;
        storage.migrate().await?;
        let shared = Shared::new(options.instance, options.time_zone, options.clock);
        let inner = Inner {
            pool: storage.pool(),
            live_target: storage.live(),
            shared: Arc::new(shared),
            revision: watch::Sender::new(0),
            lanes: None,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

async fn lane(target: Target) -> Result<Lane, LedgerError> {
    let connection = target.connect().await?;
    Ok(Lane::new(target, connection))
}

async fn empty_spool(spool: &Spool, writer: &mut Lane, shared: &Shared) -> Result<(), LedgerError> {
    while spool.depth() > 0 {
        let entries = spool.take(SPOOL_CHUNK).await?;
        if entries.is_empty() {
            break;
        }
        let stored: Vec<Stored> = entries.iter().cloned().map(Stored::from).collect();
        match writer::write(&mut writer.link().await?, &stored, &shared.time_zone).await {
            Ok(_) => {}
            Err(error) if error.kind() == LedgerErrorKind::Rejected => {
                writer.discard();
                for stored in stored {
                    let alone = [stored];
                    if writer::write(&mut writer.link().await?, &alone, &shared.time_zone)
                        .await
                        .is_err()
                    {
                        writer.discard();
                        let [stored] = alone;
                        spool.set_aside(vec![stored.entry]).await?;
                    }
                }
            }
            Err(error) => return Err(error),
        }
        spool.drained()?;
        // The thread works in order: once it has answered the next question it has counted down.
        if spool.take(0).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn settle_own(
    live: &mut Lane,
    writer: &mut Lane,
    shared: &Shared,
) -> Result<Vec<LedgerEntry>, LedgerError> {
    let mut settled = Vec::new();
    loop {
        let mut link = live.link().await?;
        let found = live::leftovers(&mut link, &shared.instance, keeper::LEFTOVER_CHUNK).await?;
        live::delete_intents(&mut link, found.unreadable.iter()).await?;
        if found.intents.is_empty() {
            live::drop_reservations(&mut link, &shared.instance).await?;
            return Ok(settled);
        }
        let entries = keeper::interrupted(found.intents, shared, &shared.instance);
        let stored: Vec<Stored> = entries.iter().cloned().map(Stored::from).collect();
        let new = writer::write(&mut writer.link().await?, &stored, &shared.time_zone).await?;
        live::delete_intents(&mut link, entries.iter().map(LedgerEntry::id)).await?;
        // An entry that was there already: the process died between its commit and the end of its
        // intent.
        settled.extend(
            entries
                .into_iter()
                .filter(|entry| new.contains(entry.id().as_str())),
        );
    }
}
