//! The schema: the schema that this program needs, the schema of the database, and the migration of one to the other.

mod functions;
mod session;
mod steps;

pub use self::functions::Function;
use self::{
    functions::{AppliedFunctions, hex},
    session::Session,
    steps::plain,
};
use crate::{
    connect::Store,
    error::{Error, code_of},
    row::time,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{
    Row, SqlStr,
    migrate::{Migration as File, MigrationType},
};
use std::{collections::HashMap, sync::LazyLock, time::Duration};

/// The default limit for all waits for locks of other sessions together: longer than an ordinary report or a backup of
/// a small database takes.
pub const MIGRATION_PATIENCE: Duration = Duration::from_secs(300);

const SCHEMA: &str = include_str!("../sql/migration_make_schema.sql");
const TABLE: &str = include_str!("../sql/migration_make_table.sql");
const LOCK: &str = include_str!("../sql/migration_lock.sql");

/// One migration, and whether the database has it.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "columns")]
pub struct Migration {
    pub version: i64,
    pub name: String,
    pub applied_at: Option<DateTime<Utc>>,
}

/// The schema or a part of it, as a list, migrations first.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(into = "Vec<Part>")]
#[expect(missing_docs, reason = "what it says")]
pub struct Schema {
    pub migrations: Vec<Migration>,
    pub functions: Vec<Function>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part {
    Migration(Migration),
    Function(Function),
}

impl Schema {
    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.migrations.is_empty() && self.functions.is_empty()
    }

    /// Whether the database has the whole list.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        let functions = self.functions.iter().all(|function| function.applied_at.is_some());
        functions && self.migrations.iter().all(|migration| migration.applied_at.is_some())
    }
}

impl From<Schema> for Vec<Part> {
    fn from(schema: Schema) -> Self {
        let migrations = schema.migrations.into_iter().map(Part::Migration);
        migrations.chain(schema.functions.into_iter().map(Part::Function)).collect()
    }
}

impl Store {
    /// Fails unless the database has the schema of this program, or a newer schema that says that this program works on it.
    /// Functions of a newer program are accepted, because they keep everything that this program calls.
    ///
    /// # Errors
    /// [`Error::SchemaMissing`], [`Error::SchemaOlder`], [`Error::SchemaNewer`], [`Error::FunctionsOlder`], or the
    /// statement failed.
    pub async fn check_schema(&self) -> Result<(), Error> {
        let applied = applied(&self.bounded).await.map_err(Error::sql("reading the version of the schema"))?;
        let known = known_version();
        match applied.keys().max().copied() {
            None => Err(Error::SchemaMissing),
            Some(found) if found > known => {
                let works = works_with_newer(&self.bounded).await;
                let works = works.map_err(Error::sql("reading whether this program works on a newer schema"))?;
                if works { Ok(()) } else { Err(Error::SchemaNewer { found, known }) }
            }
            Some(found) if found < known => Err(Error::SchemaOlder { found, needed: known }),
            Some(_) => {
                let functions = AppliedFunctions::read(&self.bounded).await;
                functions.map_err(Error::sql("reading which functions the schema has"))?.check()
            }
        }
    }

    /// Applies the missing migrations and functions, and returns them. Waits for locks of other sessions up to
    /// [`MIGRATION_PATIENCE`].
    ///
    /// # Errors
    /// As [`Store::migrate_within`].
    pub async fn migrate(&self) -> Result<Schema, Error> {
        self.migrate_within(MIGRATION_PATIENCE).await
    }

    /// Applies the missing migrations and functions, and returns them. Changes nothing if the schema is newer and says that this program
    /// works on it. A missing schema is made in one transaction. A
    /// schema in use is changed migration by migration, each in a transaction or in steps that commit alone. No
    /// migration blocks other sessions for longer than a moment. Then the functions whose files have changed are
    /// created again, in one transaction. All waits for locks of other sessions together take at most `patience`.
    ///
    /// # Errors
    /// [`Error::SchemaNewer`], [`Error::FunctionsNewer`] and [`Error::SchemaDiffers`] if the database has a migration
    /// or a function that this program does not have: then nothing was changed. [`Error::MigrationHeldUp`], or a
    /// statement failed: then the work before the error stays, and the next call continues from there.
    pub async fn migrate_within(&self, patience: Duration) -> Result<Schema, Error> {
        self.refuse_other_encodings().await?;
        let mut session = Session::open(self, patience).await.map_err(Error::sql("migrating the schema"))?;
        let answer = loop {
            match bring_up_to_date(&mut session).await {
                // Another session holds a lock on the table of migrations, or is making the schema and has not
                // committed.
                Err(error) if error.code().as_deref() == Some("55P03") => match session.wait_for_table().await {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                answer => break answer,
            }
        };
        session.close().await;
        answer
    }

    /// Payloads, errors and results may be any text, so the encoding must be able to hold any text.
    async fn refuse_other_encodings(&self) -> Result<(), Error> {
        let encoding = sqlx::query_scalar(include_str!("../sql/encoding.sql")).fetch_one(&self.bounded).await;
        match encoding.map_err(Error::sql("asking for the encoding of the database"))? {
            encoding if encoding == "UTF8" => Ok(()),
            encoding => Err(Error::Encoding(encoding)),
        }
    }

    /// Every migration and every function that this program knows, and whether the database has it.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn schema(&self) -> Result<Schema, Error> {
        let migrations = self.migrations().await?;
        let functions = AppliedFunctions::read(&self.bounded).await;
        let functions = functions.map_err(Error::sql("reading which functions the schema has"))?.listed();
        Ok(Schema { migrations, functions })
    }

    /// Every migration that this program knows.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn migrations(&self) -> Result<Vec<Migration>, Error> {
        let applied = applied(&self.bounded).await.map_err(Error::sql("reading the migrations"))?;
        Ok(listed(&applied))
    }

    /// The SQL that makes the roles `leasehold_owner`, `leasehold_app`, `leasehold_worker`, `leasehold_api` and
    /// `leasehold_reader`, with the rights of each.
    #[must_use]
    pub const fn roles_sql() -> &'static str {
        include_str!("../sql/roles.sql")
    }

    /// Makes these roles, in one transaction. Returns whether the role `leasehold_api` exists: the owner of the schema may not
    /// create it.
    ///
    /// # Errors
    /// A statement failed, usually because of missing rights. Then nothing was changed.
    pub async fn make_roles(&self) -> Result<bool, Error> {
        let mut session = Session::open(self, MIGRATION_PATIENCE).await.map_err(Error::sql("making the roles"))?;
        let made = match session.lock().await {
            Ok(()) => session.script(Self::roles_sql()).await,
            Err(error) => Err(error),
        };
        session.close().await;
        made?;
        let exists = sqlx::query_scalar(include_str!("../sql/role_exists.sql")).bind("leasehold_api");
        exists.fetch_one(&self.bounded).await.map_err(Error::sql("looking for a role"))
    }

    /// The SQL of all migrations and functions, for people who run it by hand: a script for `psql` with the same result
    /// as [`Store::migrate`].
    #[must_use]
    pub fn migration_sql() -> String {
        let mut script = include_str!("../sql/migration_script_begin.sql")
            .replace("$LOCK", LOCK.trim_end())
            .replace("$TABLE", TABLE.trim_end());
        for migration in migrations() {
            script += &include_str!("../sql/migration_script_step.sql")
                .replace("$MIGRATION", &plain(migration.sql.as_str()))
                .replace("$VERSION", &migration.version.to_string())
                .replace("$DESCRIPTION", &migration.description)
                .replace("$CHECKSUM", &hex(&migration.checksum));
        }
        script + &functions::all() + include_str!("../sql/migration_script_end.sql")
    }
}

/// Applies the missing migrations and functions, while the session has the lock of migrations.
async fn bring_up_to_date(session: &mut Session) -> Result<Schema, Error> {
    let sql = || Error::sql("migrating the schema");
    session.lock().await?;
    let begun = sqlx::raw_sql(include_str!("../sql/migration_begun.sql")).fetch_one(session.guard()).await;
    let begun =
        begun.and_then(|row| Ok((row.try_get("has_schema")?, row.try_get("begun")?, row.try_get("has_functions")?)));
    let (has_schema, is_begun, has_functions): (bool, bool, bool) = begun.map_err(sql())?;
    let before = if is_begun { applied(session.guard()).await.map_err(sql())? } else { HashMap::new() };
    let is_newer = before.keys().max().is_some_and(|found| *found > known_version());
    if is_newer && works_with_newer(session.guard()).await.map_err(sql())? {
        session.commit().await?;
        return Ok(Schema::default());
    }
    check_applied(&before)?;
    let functions_before = match has_functions {
        true => AppliedFunctions::read(session.guard()).await.map_err(sql())?,
        false => AppliedFunctions::default(),
    };
    functions_before.refuse_newer()?;
    let missing: Vec<_> = migrations().iter().filter(|migration| !before.contains_key(&migration.version)).collect();
    let functions = functions_before.script();
    if is_begun {
        for migration in missing {
            session.apply(migration).await?;
        }
        if let Some(script) = &functions {
            session.script(script).await?;
        }
    } else {
        let scripts = [SCHEMA, TABLE];
        session.make(&scripts[usize::from(has_schema)..], &missing, functions.as_deref()).await?;
    }
    let after = applied(session.guard()).await.map_err(sql())?;
    let functions_after = AppliedFunctions::read(session.guard()).await.map_err(sql())?;
    session.commit().await?;
    let is_new = |migration: &Migration| !before.contains_key(&migration.version);
    let was_current = functions_before.listed();
    let is_remade = |function: &Function| {
        was_current.iter().any(|old| old.function == function.function && old.applied_at.is_none())
    };
    Ok(Schema {
        migrations: listed(&after).into_iter().filter(is_new).collect(),
        functions: functions_after.listed().into_iter().filter(is_remade).collect(),
    })
}

/// Whether this program works on a schema that is newer than the program, as the later migrations say.
async fn works_with_newer(executor: impl sqlx::PgExecutor<'_>) -> Result<bool, sqlx::Error> {
    let statement = sqlx::query_scalar(include_str!("../sql/works_with.sql")).bind(known_version());
    statement.persistent(false).fetch_one(executor).await
}

/// Fails if the database has a migration that this program does not have, or has with another text.
fn check_applied(applied: &HashMap<i64, Applied>) -> Result<(), Error> {
    let known = known_version();
    if let Some(&found) = applied.keys().max()
        && found > known
    {
        return Err(Error::SchemaNewer { found, known });
    }
    for (&version, applied) in applied {
        if !migrations().iter().any(|ours| ours.version == version && ours.checksum.as_ref() == applied.checksum) {
            return Err(Error::SchemaDiffers { version });
        }
    }
    Ok(())
}

/// An applied migration.
struct Applied {
    at: DateTime<Utc>,
    checksum: Vec<u8>,
}

/// The names and the texts of the files in `migrations/`, in order. The macro of `sqlx` would compile the whole driver a second
/// time, for the build script.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The migrations, compiled in.
fn migrations() -> &'static [File] {
    static MIGRATIONS: LazyLock<Vec<File>> = LazyLock::new(|| FILES.iter().filter_map(file).collect());
    &MIGRATIONS
}

/// `None` for a name without a number, which no file has.
fn file((name, text): &(&'static str, &'static str)) -> Option<File> {
    let (version, description) = name.split_once('_')?;
    let (description, sql) = (description.replace('_', " "), SqlStr::from_static(text));
    let is_in_steps = text.starts_with("-- no-transaction");
    Some(File::new(version.parse().ok()?, description.into(), MigrationType::Simple, sql, is_in_steps))
}

fn known_version() -> i64 {
    migrations().iter().map(|migration| migration.version).max().unwrap_or_default()
}

fn listed(applied: &HashMap<i64, Applied>) -> Vec<Migration> {
    let describe = |migration: &File| Migration {
        version: migration.version,
        name: migration.description.clone().into_owned(),
        applied_at: applied.get(&migration.version).map(|applied| applied.at),
    };
    migrations().iter().map(describe).collect()
}

/// The migrations that the database has; none if there is no schema. The statement is unnamed, because the connection
/// may lead through a pooler.
async fn applied(executor: impl sqlx::PgExecutor<'_>) -> Result<HashMap<i64, Applied>, sqlx::Error> {
    let query = sqlx::query(include_str!("../sql/migrations.sql")).persistent(false);
    match query.fetch_all(executor).await {
        Ok(rows) => rows
            .iter()
            .map(|row| {
                Ok((
                    row.try_get("version")?,
                    Applied { at: time(row, "applied_at")?, checksum: row.try_get("checksum")? },
                ))
            })
            .collect(),
        // undefined_table, invalid_schema_name
        Err(error) if matches!(code_of(&error).as_deref(), Some("42P01" | "3F000")) => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}
