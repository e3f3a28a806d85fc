//! The body of a bulk change, and the form of an operation.

use crate::{
    api::Api,
    errors::{DetailCode, Problem, Result},
    fields::Fields,
};
use leasehold_core::{BulkAction, BulkCount, BulkFilter, InvalidBulk, Place, QueueName, State};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

/// A change of all jobs that a filter chooses.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct BulkRequest {
    /// `cancel`, `retry`, `priority` or `move`.
    action: String,
    /// The new priority, for the action `priority`.
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i16>,
    /// The new queue, for the action `move`.
    to: Option<String>,
    filter: BulkConditions,
    /// Only count the jobs, and change nothing.
    dry_run: Option<bool>,
}

/// Which jobs to choose. All conditions must hold, and at least one must be given.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct BulkConditions {
    queue: Option<String>,
    kind: Option<String>,
    /// States that the action can change; one as a string, or several as an array. `retry` takes dead jobs by default, the others all that they can
    /// change.
    state: Option<Vec<String>>,
    /// Jobs that were enqueued at least this long ago: a duration such as `10m`.
    older_than: Option<String>,
    /// Jobs whose last error has this text, in upper or lower case. `%` stands for any text, `_` for any character.
    error_like: Option<String>,
    batch: Option<String>,
}

/// A bulk change that the servers do by themselves.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct OperationView {
    id: Uuid,
    /// `cancel`, `retry`, `priority` or `move`.
    action: String,
    priority: Option<i16>,
    to: Option<String>,
    filter: serde_json::Value,
    /// Who has sent the request, as in the audit.
    actor: String,
    /// `waiting`, `running`, `done`, `cancelled` or `failed`.
    state: String,
    /// How many jobs the filter chose when the work began; `null`: not counted yet.
    total: Option<i64>,
    /// Jobs that were cancelled, put back into the line, or have their new place.
    changed: i64,
    /// Running jobs whose workers were told to stop.
    told_to_stop: i64,
    /// Jobs that stay as they are, because a live job has their unique key.
    unique_key_taken: i64,
    /// Jobs that open transactions of other sessions have locked. They are tried again at the end.
    locked: i32,
    /// Why the operation has failed.
    reason: Option<String>,
    cancel_requested_at: Option<chrono::DateTime<chrono::Utc>>,
    created_at: chrono::DateTime<chrono::Utc>,
    started_at: Option<chrono::DateTime<chrono::Utc>>,
    finished_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// How many jobs of one queue, kind and state a bulk change would be made to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkCountView {
    queue: String,
    kind: String,
    state: String,
    count: u64,
}

impl From<BulkCount> for BulkCountView {
    fn from(of: BulkCount) -> Self {
        Self { queue: of.queue, kind: of.kind, state: of.state.to_string(), count: of.count }
    }
}

impl BulkCountView {
    pub(super) const fn jobs(&self) -> u64 {
        self.count
    }
}

/// A bulk change, as it was requested.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) action: BulkAction,
    pub(super) filter: BulkFilter,
    pub(super) dry_run: bool,
}

/// Reads the request.
pub(super) fn asked(mut fields: Fields, api: &Api) -> Result<Asked> {
    let verb: Option<String> = fields.required("action", "cancel, retry, priority or move");
    let priority: Option<i16> = fields.value("priority", "a whole number from -100 to 100");
    let to: Option<QueueName> = fields.parsed("to", "the name of a queue");
    let dry_run = fields.value("dry_run", "true or false").unwrap_or(false);
    let conditions: Option<Box<RawValue>> = fields.required("filter", "an object with conditions");
    let filter = conditions.map(|conditions| {
        let mut conditions = Fields::of_element("/filter".to_owned(), &conditions);
        let filter = filter(&mut conditions, api);
        fields.add(conditions.into_details());
        filter
    });
    if priority.is_some() && verb.as_deref() != Some("priority") {
        fields.refuse("priority", DetailCode::Invalid, "belongs to the action priority");
    }
    if to.is_some() && verb.as_deref() != Some("move") {
        fields.refuse("to", DetailCode::Invalid, "belongs to the action move");
    }
    let action = match (verb.as_deref(), priority, to) {
        (Some("cancel"), ..) => Some(BulkAction::Cancel),
        (Some("retry"), ..) => Some(BulkAction::Retry),
        (Some("priority"), Some(priority), _) => Some(BulkAction::Place(Place::Priority(priority))),
        (Some("move"), _, Some(to)) => Some(BulkAction::Place(Place::Queue(to))),
        (Some("priority"), None, _) if fields.is_good() => {
            fields.refuse("priority", DetailCode::Required, "is required; it must be a whole number from -100 to 100");
            None
        }
        (Some("move"), _, None) if fields.is_good() => {
            fields.refuse("to", DetailCode::Required, "is required; it must be the name of a queue");
            None
        }
        (Some("priority" | "move") | None, ..) => None,
        (Some(_), ..) => {
            fields.refuse("action", DetailCode::Invalid, "must be cancel, retry, priority or move");
            None
        }
    };
    if let (Some(action), Some(filter)) = (&action, &filter)
        && fields.is_good()
        && let Err(invalid) = filter.states_for(action)
    {
        let field = match invalid {
            InvalidBulk::NoText => "filter/error_like",
            InvalidBulk::State { .. } => "filter/state",
            InvalidBulk::Action(_) => "priority",
            _ => "filter",
        };
        fields.refuse(field, DetailCode::Invalid, invalid.to_string());
    }
    fields.finish()?;
    let (Some(action), Some(filter)) = (action, filter) else { return Err(Problem::internal(&"a field was not read")) };
    Ok(Asked { action, filter, dry_run })
}

fn filter(fields: &mut Fields, api: &Api) -> BulkFilter {
    let older_than: Option<String> = fields.value("older_than", "a duration such as 10m");
    let older_than = older_than.and_then(|text| match (api.settings().read_duration)(&text) {
        Ok(age) => Some(age),
        Err(error) => {
            fields.refuse("older_than", DetailCode::Invalid, format!("must be a duration such as 10m: {error}"));
            None
        }
    });
    let error_like: Option<String> = fields.value("error_like", "a string");
    let batch: Option<String> = fields.value("batch", "a string");
    for (name, text) in [("error_like", &error_like), ("batch", &batch)] {
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            fields.refuse(name, DetailCode::Invalid, "must have no NUL");
        }
    }
    BulkFilter::default().with(|filter| {
        filter.queue = fields.parsed("queue", "the name of a queue");
        filter.kind = fields.parsed("kind", "the name of a kind");
        filter.states = states(fields);
        (filter.older_than, filter.error_like, filter.batch) = (older_than, error_like, batch);
    })
}

/// One state as a string, or several in an array.
fn states(fields: &mut Fields) -> Vec<State> {
    let Some(given) = fields.raw("state") else { return Vec::new() };
    let names: Option<Vec<String>> =
        serde_json::from_str(given.get()).ok().or_else(|| serde_json::from_str(given.get()).ok().map(|one| vec![one]));
    let Some(names) = names else {
        fields.refuse("state", DetailCode::Invalid, "must be a state, or an array of states");
        return Vec::new();
    };
    let mut states = Vec::new();
    for name in names {
        match name.parse() {
            Ok(state) => states.push(state),
            Err(error) => fields.refuse("state", DetailCode::Invalid, format!("{name:?}: {error}")),
        }
    }
    states
}
