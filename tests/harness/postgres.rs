//! A database of one test's own on the server that `CODEX_GATEWAY_TEST_POSTGRES` names, and a way
//! to it that a test can cut.

use crate::secrets::leak_in_rows;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Names the server: `postgres://user@host:port/database`.
pub const VARIABLE: &str = "CODEX_GATEWAY_TEST_POSTGRES";

/// An empty database, dropped with this.
#[derive(Debug)]
pub struct Database {
    /// The URL up to the host, the host, and the rest of it.
    user: String,
    host: String,
    name: String,
    server: String,
}

impl Database {
    /// `None` where no server is named.
    pub fn create(purpose: &str) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let server = std::env::var(VARIABLE).ok()?;
        let shape = "CODEX_GATEWAY_TEST_POSTGRES is like postgres://user@host:port/database";
        let (scheme, rest) = server.split_once("://").expect(shape);
        let (authority, _) = rest.split_once('/').expect(shape);
        let (user, host) = authority.split_once('@').expect(shape);
        let port = if host.contains(':') { "" } else { ":5432" };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let database = Self {
            user: format!("{scheme}://{user}@"),
            host: format!("{host}{port}"),
            name: format!("cgw_{purpose}_{}_{count}", std::process::id()),
            server,
        };
        psql(
            &database.server,
            &format!("CREATE DATABASE {}", database.name),
        );
        Some(database)
    }

    pub fn url(&self) -> String {
        format!("{}{}/{}", self.user, self.host, self.name)
    }

    /// The same database by another way.
    pub fn url_through(&self, way: &Way) -> String {
        format!("{}{}/{}", self.user, way.address, self.name)
    }

    /// What a query answers, a line a row.
    pub fn query(&self, sql: &str) -> Vec<String> {
        psql(&self.url(), sql).lines().map(str::to_owned).collect()
    }

    /// Every row of every table, as text.
    pub fn rows(&self) -> String {
        let tables = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'";
        let tables = self.query(tables);
        assert!(!tables.is_empty(), "nobody used this database");
        let all = tables
            .iter()
            .map(|table| psql(&self.url(), &format!("SELECT t FROM {table} t")));
        all.collect()
    }

    /// A way to the server that can be cut.
    pub async fn way(&self) -> Way {
        Way::to(self.host.clone()).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test that fails already shows its own reason.
        if !std::thread::panicking() {
            let rows = self.rows();
            psql(
                &self.server,
                &format!("DROP DATABASE {} WITH (FORCE)", self.name),
            );
            assert_eq!(leak_in_rows(&rows), None, "the database holds a credential");
            return;
        }
        psql(
            &self.server,
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        );
    }
}

fn psql(url: &str, sql: &str) -> String {
    let output = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
        .args(["-d", url, "-c", sql])
        .output()
        .expect("psql is installed where CODEX_GATEWAY_TEST_POSTGRES is set");
    // Inside a panic a second one would hide the first.
    assert!(
        output.status.success() || std::thread::panicking(),
        "`{sql}`: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Bytes pass, on connections made since the last change.
    Passes,
    /// Connections end, new ones too, as when the server stops.
    Ends,
    /// Nothing arrives and nobody is told, as when a network is cut. Connections from before never
    /// come back to life.
    Vanishes,
}

/// What a client says at which traffic vanishes, before the server hears it.
type Trap = Arc<Mutex<Option<String>>>;

/// A TCP proxy on loopback.
#[derive(Debug)]
pub struct Way {
    address: SocketAddr,
    traffic: Arc<watch::Sender<Traffic>>,
    trap: Trap,
    accepting: JoinHandle<()>,
}

impl Way {
    async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let traffic = Arc::new(watch::Sender::new(Traffic::Passes));
        let trap = Trap::default();
        let (switch, armed) = (Arc::clone(&traffic), Arc::clone(&trap));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (switch, armed) = (Arc::clone(&switch), Arc::clone(&armed));
                tokio::spawn(connect(client, target.clone(), switch, armed));
            }
        });
        Self {
            address,
            traffic,
            trap,
            accepting,
        }
    }

    /// Lets traffic vanish as soon as a client says this; the server never hears it.
    pub fn vanish_at(&self, text: &str) {
        *self.trap.lock().expect("no connection panics") = Some(text.to_owned());
    }

    /// Waits until traffic has vanished.
    pub async fn vanished(&self) {
        let mut watching = self.traffic.subscribe();
        let vanished = watching.wait_for(|traffic| *traffic == Traffic::Vanishes);
        vanished.await.expect("the way is there");
    }

    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connect(
    client: TcpStream,
    target: String,
    switch: Arc<watch::Sender<Traffic>>,
    trap: Trap,
) {
    let mut traffic = switch.subscribe();
    let now = *traffic.borrow_and_update();
    let carrying = async {
        match now {
            Traffic::Passes => {}
            Traffic::Ends => return,
            Traffic::Vanishes => std::future::pending().await,
        }
        let Ok(server) = TcpStream::connect(target).await else {
            return;
        };
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        tokio::join!(
            carry(client_read, server_write, traffic.clone(), |said| {
                let mut trap = trap.lock().expect("no connection panics");
                let is_trapped = trap.as_ref().is_some_and(|text| {
                    said.windows(text.len()).any(|part| part == text.as_bytes())
                });
                if is_trapped {
                    *trap = None;
                    switch.send_replace(Traffic::Vanishes);
                }
            }),
            carry(server_read, client_write, traffic.clone(), |_| {})
        );
    };
    carrying.await;
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut traffic: watch::Receiver<Traffic>,
    heard: impl Fn(&[u8]),
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            biased;
            changed = traffic.changed() => {
                let now = *traffic.borrow_and_update();
                if changed.is_ok() && now == Traffic::Vanishes {
                    std::future::pending::<()>().await;
                }
                return;
            }
            read = from.read(&mut buffer) => {
                let Ok(count @ 1..) = read else { return };
                heard(&buffer[..count]);
                if traffic.has_changed().unwrap_or(true) {
                    continue;
                }
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
