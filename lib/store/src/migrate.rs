//! The schema: what this program needs, what the database has, and how the one becomes the other.

use crate::{
    connect::{Pooler, Store},
    error::{Error, code_of},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{
    PgConnection,
    migrate::{MigrateError, Migrator},
};
use std::{collections::HashMap, fmt::Write};

const SCHEMA: &str = "leasehold";
const TABLE: &str = "leasehold.migration";
const LOCK: &str = include_str!("../sql/migration_lock.sql");

/// One migration and whether the database has it.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "columns")]
pub struct Migration {
    pub version: i64,
    pub name: String,
    pub applied_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Fails unless the schema is the one of this program.
    ///
    /// # Errors
    /// [`Error::SchemaMissing`], [`Error::SchemaOlder`], [`Error::SchemaNewer`], or that the server could not be asked.
    pub async fn check_schema(&self) -> Result<(), Error> {
        let applied = applied(&self.bounded).await.map_err(Error::sql("reading the version of the schema"))?;
        let known = known_version();
        match applied.keys().max().copied() {
            None => Err(Error::SchemaMissing),
            Some(found) if found > known => Err(Error::SchemaNewer { found, known }),
            Some(found) if found < known => Err(Error::SchemaOlder { found, needed: known }),
            Some(_) => Ok(()),
        }
    }

    /// Applies what is missing, in one transaction; returns what was applied.
    ///
    /// # Errors
    /// [`Error::SchemaNewer`] and [`Error::SchemaDiffers`] when the database has what this program has not, or that a
    /// statement failed. Nothing was changed then.
    pub async fn migrate(&self) -> Result<Vec<Migration>, Error> {
        let sql = || Error::sql("migrating the schema");
        self.refuse_other_encodings().await?;
        let mut transaction = self.transactions.begin().await.map_err(sql())?;
        self.forget_statements(&mut transaction).await.map_err(sql())?;
        sqlx::query(LOCK).execute(&mut *transaction).await.map_err(sql())?;
        let before = applied_if_begun(&mut transaction).await.map_err(sql())?;
        let known = known_version();
        if let Some(&found) = before.keys().max()
            && found > known
        {
            return Err(Error::SchemaNewer { found, known });
        }
        migrator().run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
            MigrateError::VersionMismatch(version) | MigrateError::VersionMissing(version) => {
                Error::SchemaDiffers { version }
            }
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => sql()(source),
            other => sql()(sqlx::Error::Migrate(Box::new(other))),
        })?;
        let after = applied_if_begun(&mut transaction).await.map_err(sql())?;
        self.forget_statements(&mut transaction).await.map_err(sql())?;
        transaction.commit().await.map_err(sql())?;
        let new = |migration: &Migration| !before.contains_key(&migration.version);
        Ok(listed(&after).into_iter().filter(new).collect())
    }

    /// Payloads, errors and results are whatever people write: they have to fit.
    async fn refuse_other_encodings(&self) -> Result<(), Error> {
        let encoding = sqlx::query_scalar(include_str!("../sql/encoding.sql")).fetch_one(&self.bounded).await;
        match encoding.map_err(Error::sql("asking for the encoding of the database"))? {
            encoding if encoding == "UTF8" => Ok(()),
            encoding => Err(Error::Encoding(encoding)),
        }
    }

    /// The driver's migrations have names for their statements, and a connection of a pooler is used by others next.
    async fn forget_statements(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        match self.pooler {
            Pooler::None => Ok(()),
            Pooler::Transaction => {
                sqlx::raw_sql(include_str!("../sql/forget_statements.sql")).execute(connection).await.map(drop)
            }
        }
    }

    /// Every migration this program knows.
    ///
    /// # Errors
    /// That the server could not be asked.
    pub async fn migrations(&self) -> Result<Vec<Migration>, Error> {
        let applied = applied(&self.bounded).await.map_err(Error::sql("reading the migrations"))?;
        Ok(listed(&applied))
    }

    /// The SQL of all migrations, for people who run them by hand: a script for `psql` that leaves the database
    /// as [`Store::migrate`] would.
    #[must_use]
    pub fn migration_sql() -> String {
        let mut script = include_str!("../sql/migration_script_begin.sql").replace("$LOCK", LOCK.trim_end());
        for migration in migrator().iter() {
            let checksum = migration.checksum.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            script += &include_str!("../sql/migration_script_step.sql")
                .replace("$MIGRATION", migration.sql.as_str().trim_end())
                .replace("$VERSION", &migration.version.to_string())
                .replace("$DESCRIPTION", &migration.description)
                .replace("$CHECKSUM", &checksum);
        }
        script + include_str!("../sql/migration_script_end.sql")
    }
}

/// The migrations as the driver runs them, its bookkeeping inside our schema. Its own lock belongs to the session and
/// would not survive a pooler; ours belongs to the transaction.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.set_locking(false).create_schema(SCHEMA);
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

fn known_version() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
}

fn listed(applied: &HashMap<i64, DateTime<Utc>>) -> Vec<Migration> {
    let describe = |migration: &sqlx::migrate::Migration| Migration {
        version: migration.version,
        name: migration.description.clone().into_owned(),
        applied_at: applied.get(&migration.version).copied(),
    };
    migrator().iter().map(describe).collect()
}

/// What the database has; nothing when there is no schema.
async fn applied(executor: impl sqlx::PgExecutor<'_>) -> Result<HashMap<i64, DateTime<Utc>>, sqlx::Error> {
    let rows: Result<Vec<(i64, DateTime<Utc>)>, _> =
        sqlx::query_as(include_str!("../sql/migrations.sql")).fetch_all(executor).await;
    match rows {
        Ok(rows) => Ok(rows.into_iter().collect()),
        // undefined_table, invalid_schema_name
        Err(error) if matches!(code_of(&error).as_deref(), Some("42P01" | "3F000")) => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

/// The same inside a transaction, which an error would end.
async fn applied_if_begun(connection: &mut PgConnection) -> Result<HashMap<i64, DateTime<Utc>>, sqlx::Error> {
    let begun = sqlx::query_scalar(include_str!("../sql/migration_begun.sql")).fetch_one(&mut *connection).await?;
    if begun { applied(connection).await } else { Ok(HashMap::new()) }
}
