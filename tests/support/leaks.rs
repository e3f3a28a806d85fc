//! Where a text that must be secret can be read in the database.

use sqlx::{AssertSqlSafe, PgConnection};

/// The rows of all tables of the schema that have the text `secret`, each after the name of its table.
///
/// # Panics
/// A statement failed.
pub async fn leaks(sql: &mut PgConnection, secret: &str) -> Vec<String> {
    let tables = "SELECT c.oid::regclass::text FROM pg_class c
                  WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relkind = 'r'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *sql).await.expect("the tables");
    let mut leaks = Vec::new();
    for table in tables {
        let rows = format!("SELECT '{table}: ' || t::text FROM {table} t WHERE t::text LIKE '%{secret}%'");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut *sql).await.expect("rows");
        leaks.extend(rows);
    }
    leaks
}
