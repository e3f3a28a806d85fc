//! PostgreSQL in memory, from the view of one process.

use crate::{
    broken::Broken,
    clock::Clock,
    link::{ConnectionLost, Direct, Link, Lost},
    rows::Rows,
};
use leasehold_ports::{Class, Error};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// Implements one port. Each call goes through the link, then runs the function of [`Rows`] with the same name, and its
/// answer goes through the link again.
macro_rules! call_rows {
    ($store:ty: $port:ident {
        $(async fn $verb:ident(&self $(, $name:ident: $of:ty)* $(,)?) -> $answer:ty;)*
    }) => {
        #[async_trait]
        impl leasehold_ports::$port for $store {
            $(async fn $verb(&self $(, $name: $of)*) -> Result<$answer, Error> {
                self.call(stringify!($verb), |rows| rows.$verb($($name),*).into_answer()).await
            })*
        }
    };
}

leasehold_ports::delegate_store!(MemoryStore, call_rows);

/// PostgreSQL in memory. Cheap to clone: all clones share one database.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
    link: Arc<dyn Link>,
}

impl MemoryStore {
    /// An empty database, with a connection that has no faults.
    #[must_use]
    pub fn new(clock: Clock, broken: Option<Broken>) -> Self {
        Self { rows: Arc::new(Mutex::new(Rows::new(clock, broken))), link: Arc::new(Direct) }
    }

    /// The same database, which now has to keep dead rows: a survey takes this long to read them.
    #[must_use]
    pub fn with_dead_rows(self, dead_rows: Duration) -> Self {
        self.rows().dead_rows = dead_rows;
        self
    }

    /// The same database over another connection.
    #[must_use]
    pub fn by(&self, link: Arc<dyn Link>) -> Self {
        Self { rows: Arc::clone(&self.rows), link }
    }

    /// The whole content, for inspection from outside.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(&self, doing: &'static str, work: impl FnOnce(&mut Rows) -> Result<T, Error>) -> Result<T, Error> {
        let lost = |Lost| Error::new("PostgreSQL", doing, Class::Transient, ConnectionLost { doing });
        self.link.there(doing).await.map_err(lost)?;
        let (answer, dead_rows) = {
            let mut rows = self.rows();
            (work(&mut rows), rows.dead_rows)
        };
        if matches!(doing, "survey" | "fingerprint") && !dead_rows.is_zero() {
            sleep(dead_rows).await;
        }
        self.link.back(doing).await.map_err(lost)?;
        answer
    }
}

/// The answer of a verb: most verbs cannot fail.
trait IntoAnswer<T> {
    fn into_answer(self) -> Result<T, Error>;
}

impl<T> IntoAnswer<T> for T {
    fn into_answer(self) -> Result<T, Error> {
        Ok(self)
    }
}

impl<T> IntoAnswer<T> for Result<T, Error> {
    fn into_answer(self) -> Result<T, Error> {
        self
    }
}
