"""The types and the operations of the HTTP interface. `tools/generate.py` writes this file from `openapi.json`."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict, Union


class _AttemptPageRequired(TypedDict):
    deliveries: list["AttemptView"]


class AttemptPage(_AttemptPageRequired, total=False):
    next: Union[str, None]


class _AttemptViewRequired(TypedDict):
    at: str
    attempt: int
    delivery: str
    event: str
    id: str
    ms: int


class AttemptView(_AttemptViewRequired, total=False):
    answer: Union[str, None]
    error: Union[str, None]
    job: Union[str, None]
    state: Union[str, None]
    status: Union[int, None]


class BatchCancelled(TypedDict):
    cancelled: int
    stopping: int


class BatchList(TypedDict):
    batches: list["BatchView"]


class _BatchViewRequired(TypedDict):
    blocked: int
    callback_queue: str
    cancelled: int
    created_at: str
    dead: int
    name: str
    queued: int
    running: int
    scheduled: int
    succeeded: int


class BatchView(_BatchViewRequired, total=False):
    complete_job: Union[str, None]
    completed_at: Union[str, None]
    death_job: Union[str, None]
    on_complete: Union[str, None]
    on_death: Union[str, None]
    on_success: Union[str, None]
    sealed_at: Union[str, None]
    success_job: Union[str, None]


class BulkConditions(TypedDict, total=False):
    batch: Union[str, None]
    error_like: Union[str, None]
    kind: Union[str, None]
    older_than: Union[str, None]
    queue: Union[str, None]
    state: Union[list[str], None]


class BulkCountView(TypedDict):
    count: int
    kind: str
    queue: str
    state: str


class BulkCounts(TypedDict):
    counts: list["BulkCountView"]
    dry_run: bool
    total: int


class _BulkRequestRequired(TypedDict):
    action: str
    filter: "BulkConditions"


class BulkRequest(_BulkRequestRequired, total=False):
    dry_run: Union[bool, None]
    priority: Union[int, None]
    to: Union[str, None]


class Callbacks(TypedDict, total=False):
    on_complete: Union[str, None]
    on_death: Union[str, None]
    on_success: Union[str, None]
    queue: Union[str, None]


class Changed(TypedDict):
    changed: bool
    id: str
    state: str


class ClaimAnswer(TypedDict):
    jobs: list["ClaimedJob"]


class _ClaimRequestRequired(TypedDict):
    worker: str


class ClaimRequest(_ClaimRequestRequired, total=False):
    claim_id: Union[str, None]
    kinds: Union[list[str], None]
    lease_ms: Union[int, None]
    max: Union[int, None]
    max_bytes: Union[int, None]
    wait_ms: Union[int, None]


class _ClaimedJobRequired(TypedDict):
    attempt: int
    crashes: int
    epoch: int
    id: str
    kind: str
    lease_expires_at: str
    max_attempts: int
    parents: list["ParentView"]
    payload: Any
    queue: str
    worker: str


class ClaimedJob(_ClaimedJobRequired, total=False):
    timeout_ms: Union[int, None]
    traceparent: Union[str, None]


class _CompleteRequestRequired(TypedDict):
    epoch: int
    worker: str


class CompleteRequest(_CompleteRequestRequired, total=False):
    enqueue: Union[list["NewJobWords"], None]
    result: Any


class _DemandViewRequired(TypedDict):
    demand: int
    draining: int
    queue: str
    running: int
    slots: int
    waiting: int
    workers: int


class DemandView(_DemandViewRequired, total=False):
    drain_s: Union[float, None]
    oldest_s: Union[float, None]


class Detail(TypedDict):
    code: "DetailCode"
    message: str
    pointer: str


class Drained(TypedDict):
    draining: bool
    worker: str


class EnqueuedJob(TypedDict):
    id: str
    inserted: bool
    replaced: bool
    state: str


class EnqueuedJobs(TypedDict):
    jobs: list["EnqueuedJob"]


class ErrorBody(TypedDict):
    error: "Problem"


class _ExplanationViewRequired(TypedDict):
    as_of: str
    id: str
    reasons: list["ReasonView"]
    state: str


class ExplanationView(_ExplanationViewRequired, total=False):
    hint: str


class _FailRequestRequired(TypedDict):
    epoch: int
    error: str
    worker: str


class FailRequest(_FailRequestRequired, total=False):
    delay_ms: Union[int, None]
    never: Union[bool, None]


class GraphEdgeView(TypedDict):
    child: str
    met: bool
    on_parent_failure: str
    parent: str


class _GraphJobRequired(TypedDict):
    id: str
    inserted: bool
    state: str


class GraphJob(_GraphJobRequired, total=False):
    name: Union[str, None]


class _GraphJobViewRequired(TypedDict):
    id: str


class GraphJobView(_GraphJobViewRequired, total=False):
    kind: Union[str, None]
    queue: Union[str, None]
    state: Union[str, None]


class GraphJobs(TypedDict):
    jobs: list["GraphJob"]


class GraphView(TypedDict):
    edges: list["GraphEdgeView"]
    is_cut: bool
    jobs: list["GraphJobView"]


class HeadView(TypedDict):
    aside: int
    claimed: int
    leased: int
    overflow: bool
    paused: bool
    queue: str
    ready: int
    waiting_members: int


class HeadsView(TypedDict):
    queues: list["HeadView"]
    workers: int


class HttpWorkerView(TypedDict):
    last_claim_at: str
    server: str
    waiting: int


class _JobPageRequired(TypedDict):
    jobs: list["JobView"]


class JobPage(_JobPageRequired, total=False):
    next: Union[str, None]


class _JobViewRequired(TypedDict):
    attempt: int
    crashes: int
    created_at: str
    epoch: int
    id: str
    kind: str
    max_attempts: int
    max_crashes: int
    payload: Any
    priority: int
    queue: str
    run_at: str
    state: str
    trail: list[Any]


class JobView(_JobViewRequired, total=False):
    batch: Union[str, None]
    cancel_requested_at: Union[str, None]
    expires_at: Union[str, None]
    fair_key: Union[str, None]
    finished_at: Union[str, None]
    last_error: Union[str, None]
    lease_expires_at: Union[str, None]
    limit_key: Union[str, None]
    limit_keys: Union[list[str], None]
    progress: Any
    result: Any
    retry: Any
    retry_until: Union[str, None]
    started_at: Union[str, None]
    timeout_ms: Union[int, None]
    unique_key: Union[str, None]
    unique_rule: Union[str, None]
    webhook: str
    worker: Union[str, None]


class LimitList(TypedDict):
    limits: list["LimitView"]


class _LimitViewRequired(TypedDict):
    changed_at: str
    key: str
    running_now: int
    waiting: int


class LimitView(_LimitViewRequired, total=False):
    burst: Union[int, None]
    rate: Union[str, None]
    running: Union[int, None]


class NewGraph(TypedDict):
    jobs: list["NewGraphJob"]


class _NewGraphJobRequired(TypedDict):
    kind: str


class NewGraphJob(_NewGraphJobRequired, total=False):
    batch: Union[str, None]
    delay: Union[str, None]
    depends_on: Union[list[str], None]
    expires_at: Union[str, None]
    expires_in: Union[str, None]
    fair_key: Union[str, None]
    id: Union[str, None]
    limit_key: Union[str, None]
    limit_keys: Union[list[str], None]
    max_attempts: Union[int, None]
    on_parent_failure: Union[str, None]
    payload: Any
    priority: Union[int, None]
    queue: Union[str, None]
    retry: Any
    run_at: Union[str, None]
    timeout: Union[str, None]
    traceparent: Union[str, None]
    unique: Any
    unique_key: Union[str, None]
    webhook: Union[str, None]
    after: Union[list[str], None]
    name: Union[str, None]


class _NewJobWordsRequired(TypedDict):
    kind: str


class NewJobWords(_NewJobWordsRequired, total=False):
    batch: Union[str, None]
    delay: Union[str, None]
    depends_on: Union[list[str], None]
    expires_at: Union[str, None]
    expires_in: Union[str, None]
    fair_key: Union[str, None]
    id: Union[str, None]
    limit_key: Union[str, None]
    limit_keys: Union[list[str], None]
    max_attempts: Union[int, None]
    on_parent_failure: Union[str, None]
    payload: Any
    priority: Union[int, None]
    queue: Union[str, None]
    retry: Any
    run_at: Union[str, None]
    timeout: Union[str, None]
    traceparent: Union[str, None]
    unique: Any
    unique_key: Union[str, None]
    webhook: Union[str, None]


class NewJobs(TypedDict):
    jobs: list["NewJobWords"]


class NewLimit(TypedDict, total=False):
    burst: Union[int, None]
    rate: Union[str, None]
    running: Union[int, None]


class _NewScheduleWordsRequired(TypedDict):
    job: "NewJobWords"


class NewScheduleWords(_NewScheduleWordsRequired, total=False):
    cron: Union[str, None]
    every: Union[str, None]
    missed: Union[str, None]
    timezone: Union[str, None]


class _NewWebhookWordsRequired(TypedDict):
    url: str


class NewWebhookWords(_NewWebhookWordsRequired, total=False):
    id: Union[str, None]
    kinds: Union[list[str], None]
    queue: Union[str, None]
    secret: Union[str, None]
    states: Union[list[str], None]


class NewWeight(TypedDict):
    fair_key: str
    weight: float


class OperationList(TypedDict):
    operations: list["OperationView"]


class _OperationViewRequired(TypedDict):
    action: str
    actor: str
    changed: int
    created_at: str
    filter: Any
    id: str
    locked: int
    state: str
    told_to_stop: int
    unique_key_taken: int


class OperationView(_OperationViewRequired, total=False):
    cancel_requested_at: Union[str, None]
    finished_at: Union[str, None]
    priority: Union[int, None]
    reason: Union[str, None]
    started_at: Union[str, None]
    to: Union[str, None]
    total: Union[int, None]


class _ParentViewRequired(TypedDict):
    id: str
    met: bool
    on_parent_failure: str


class ParentView(_ParentViewRequired, total=False):
    is_left_out: bool
    kind: Union[str, None]
    result: Any
    state: Union[str, None]


class PauseRequest(TypedDict, total=False):
    fair_key: Union[str, None]
    kind: Union[str, None]


class _PausedRequired(TypedDict):
    changed: bool
    paused: bool
    queue: str


class Paused(_PausedRequired, total=False):
    fair_key: str
    kind: str


class Priority(TypedDict):
    priority: int


class _ProblemRequired(TypedDict):
    code: "Code"
    message: str


class Problem(_ProblemRequired, total=False):
    details: list["Detail"]


class ProgressAnswer(TypedDict):
    cancel_wanted: bool
    written: bool


class _ProgressRequestRequired(TypedDict):
    epoch: int
    worker: str


class ProgressRequest(_ProgressRequestRequired, total=False):
    note: Union[str, None]
    progress: Union[float, None]


class Purged(TypedDict):
    cancelled: int
    more: bool
    queue: str


class QuantilesView(TypedDict):
    p50: float
    p95: float
    p99: float


class QueueList(TypedDict):
    queues: list["QueueView"]


class QueuePatch(TypedDict, total=False):
    dead_letter: Union[str, None]
    encrypted: Union[bool, None]
    fair: Union[bool, None]
    keep_days: Union[int, None]
    priority_step: Union[str, None]


class _QueueSetRequired(TypedDict):
    encrypted: bool
    fair: bool
    paused: bool
    queue: str


class QueueSet(_QueueSetRequired, total=False):
    dead_letter: Union[str, None]
    keep_days: Union[int, None]
    priority_step_ms: Union[int, None]


class _QueueViewRequired(TypedDict):
    blocked: int
    cancelled_last_minute: int
    dead_last_minute: int
    encrypted: bool
    paused: bool
    paused_fair_keys: list[str]
    paused_kinds: list[str]
    queue: str
    queued: int
    running: int
    scheduled: int
    succeeded_last_minute: int


class QueueView(_QueueViewRequired, total=False):
    oldest_s: Union[float, None]


class ReasonView(TypedDict):
    code: str
    text: str


class ReleaseRequest(TypedDict):
    epoch: int
    worker: str


class Removed(TypedDict):
    removed: bool


class RenewAllAnswer(TypedDict):
    quiet: bool
    runs: list["RenewedRun"]


class _RenewAllRequestRequired(TypedDict):
    runs: list["RunFence"]
    worker: str


class RenewAllRequest(_RenewAllRequestRequired, total=False):
    lease_ms: Union[int, None]


class RenewAnswer(TypedDict):
    cancel_wanted: bool
    lease_ms: int
    quiet: bool
    renewed: bool


class _RenewRequestRequired(TypedDict):
    epoch: int
    worker: str


class RenewRequest(_RenewRequestRequired, total=False):
    lease_ms: Union[int, None]


class _RenewedRunRequired(TypedDict):
    epoch: int
    id: str


class RenewedRun(_RenewedRunRequired, total=False):
    cancel_wanted: bool
    lease_ms: int
    quiet: bool
    renewed: bool
    error: "Problem"


class ReplayWords(TypedDict, total=False):
    after: Union[str, None]
    delivery: Union[str, None]
    limit: Union[int, None]
    since: Union[str, None]
    states: Union[list[str], None]
    until: Union[str, None]


class _ReplayedWordsRequired(TypedDict):
    replayed: int


class ReplayedWords(_ReplayedWordsRequired, total=False):
    next: Union[str, None]


class Rotated(TypedDict):
    previous_secret_until: str
    secret: str


class Rotation(TypedDict, total=False):
    overlap: Union[str, None]
    secret: Union[str, None]


class _RunEndRequired(TypedDict):
    epoch: int
    id: str
    outcome: str


class RunEnd(_RunEndRequired, total=False):
    delay_ms: Union[int, None]
    enqueue: Union[list[Any], None]
    error: Union[str, None]
    never: Union[bool, None]
    reason: Union[str, None]
    result: Any


class RunFence(TypedDict):
    epoch: int
    id: str


class _ScaleRequired(TypedDict):
    demand: int
    draining: int
    queue: str
    running: int
    slots: int
    waiting: int
    workers: int


class Scale(_ScaleRequired, total=False):
    drain_s: Union[float, None]
    oldest_s: Union[float, None]
    suggested_replicas: Union[int, None]


class ScheduleList(TypedDict):
    schedules: list["ScheduleView"]


class _ScheduleViewRequired(TypedDict):
    changed_at: str
    created_at: str
    kind: str
    max_attempts: int
    missed: str
    name: str
    payload: Any
    priority: int
    queue: str


class ScheduleView(_ScheduleViewRequired, total=False):
    batch: Union[str, None]
    cron: Union[str, None]
    every_ms: Union[int, None]
    expires_in_ms: Union[int, None]
    fair_key: Union[str, None]
    last_error: Union[str, None]
    last_job: Union[str, None]
    last_tick: Union[str, None]
    limit_key: Union[str, None]
    limit_keys: Union[list[str], None]
    next: list[str]
    next_at: Union[str, None]
    paused_at: Union[str, None]
    retry: Any
    timeout_ms: Union[int, None]
    timezone: Union[str, None]
    unique: Any
    unique_key: Union[str, None]
    webhook: Union[str, None]


class ScheduledJob(TypedDict):
    id: str
    inserted: bool


class SettleAllAnswer(TypedDict):
    runs: list["SettledRun"]


class SettleAllRequest(TypedDict):
    runs: list["RunEnd"]
    worker: str


class Settled(TypedDict):
    already: bool
    state: str


class _SettledRunRequired(TypedDict):
    epoch: int
    id: str


class SettledRun(_SettledRunRequired, total=False):
    already: bool
    state: str
    error: "Problem"


class _SnoozeRequestRequired(TypedDict):
    epoch: int
    worker: str


class SnoozeRequest(_SnoozeRequestRequired, total=False):
    delay_ms: Union[int, None]
    reason: Union[str, None]


class _StatsRequired(TypedDict):
    postgres: list["QueueView"]


class Stats(_StatsRequired, total=False):
    redis: Union[None, "HeadsView"]


class TestDelivery(TypedDict):
    delivery: str


class TimesList(TypedDict):
    times: list["TimesView"]


class _TimesViewRequired(TypedDict):
    cancelled: int
    dead: int
    kind: str
    queue: str
    succeeded: int


class TimesView(_TimesViewRequired, total=False):
    minute: str
    run_ms: Union[None, "QuantilesView"]
    wait_ms: Union[None, "QuantilesView"]


class WebhookChanges(TypedDict, total=False):
    enabled: Union[bool, None]
    kinds: Union[list[str], None]
    queue: Union[str, None]
    states: Union[list[str], None]
    url: Union[str, None]


class WebhookList(TypedDict):
    webhooks: list["WebhookView"]


class _WebhookViewRequired(TypedDict):
    active: bool
    changed_at: str
    created_at: str
    id: str
    kinds: list[str]
    queue: str
    states: list[str]
    url: str


class WebhookView(_WebhookViewRequired, total=False):
    disabled_at: Union[str, None]
    disabled_reason: Union[str, None]
    failing_since: Union[str, None]
    last_attempt_at: Union[str, None]
    last_error: Union[str, None]
    last_status: Union[int, None]
    previous_secret_until: Union[str, None]


class WebhookWithSecret(TypedDict):
    secret: str
    webhook: "WebhookView"


class WeightList(TypedDict):
    weights: list["WeightView"]


class WeightView(TypedDict):
    fair_key: str
    weight: float


class WorkerList(TypedDict):
    workers: list["WorkerView"]


class _WorkerViewRequired(TypedDict):
    draining: bool
    host: str
    id: str
    pid: int
    queues: list[list[Union[str, int]]]
    running: int
    started_at: str
    version: str


class WorkerView(_WorkerViewRequired, total=False):
    http: "HttpWorkerView"
    kinds: Union[list[str], None]


Code = Literal["malformed", "unauthorized", "forbidden", "not_found", "method_not_allowed", "request_timeout", "conflict", "lease_lost", "draining", "too_large", "unsupported_media_type", "invalid", "idempotency_mismatch", "too_many_requests", "locked", "unavailable", "outcome_unknown", "internal"]

DetailCode = Literal["invalid", "required", "unknown", "refused"]

EnqueueAnswer = Union["EnqueuedJob", "EnqueuedJobs"]

EnqueueRequest = Union["NewJobWords", "NewJobs"]

RenewedOrLost = Union["RenewAnswer", "ErrorBody"]

SettledOrRefused = Union["Settled", "ErrorBody"]

#: Method and path of each operation, by its id.
OPERATIONS: Final[dict[str, tuple[str, str]]] = {'cancel_batch': ('POST', '/v1/batches/{name}/cancel'),
 'cancel_job': ('POST', '/v1/jobs/{id}/cancel'),
 'cancel_operation': ('POST', '/v1/operations/{id}/cancel'),
 'change_jobs': ('POST', '/v1/jobs/bulk'),
 'change_webhook': ('PATCH', '/v1/webhooks/{id}'),
 'claim': ('POST', '/v1/queues/{queue}/claim'),
 'complete': ('POST', '/v1/jobs/{id}/complete'),
 'drain_worker': ('POST', '/v1/workers/{worker}/drain'),
 'enqueue': ('POST', '/v1/jobs'),
 'events': ('GET', '/v1/events'),
 'explain_job': ('GET', '/v1/jobs/{id}/explain'),
 'fail': ('POST', '/v1/jobs/{id}/fail'),
 'list_batches': ('GET', '/v1/batches'),
 'list_deliveries': ('GET', '/v1/webhooks/{id}/deliveries'),
 'list_jobs': ('GET', '/v1/jobs'),
 'list_limits': ('GET', '/v1/limits'),
 'list_operations': ('GET', '/v1/operations'),
 'list_queues': ('GET', '/v1/queues'),
 'list_schedules': ('GET', '/v1/schedules'),
 'list_webhooks': ('GET', '/v1/webhooks'),
 'list_weights': ('GET', '/v1/queues/{queue}/weights'),
 'list_workers': ('GET', '/v1/workers'),
 'make_webhook': ('POST', '/v1/webhooks'),
 'pause_queue': ('POST', '/v1/queues/{queue}/pause'),
 'pause_schedule': ('POST', '/v1/schedules/{name}/pause'),
 'progress': ('POST', '/v1/jobs/{id}/progress'),
 'purge_queue': ('POST', '/v1/queues/{queue}/purge'),
 'queue_times': ('GET', '/v1/queues/{queue}/times'),
 'release': ('POST', '/v1/jobs/{id}/release'),
 'remove_limit': ('DELETE', '/v1/limits/{key}'),
 'remove_schedule': ('DELETE', '/v1/schedules/{name}'),
 'remove_webhook': ('DELETE', '/v1/webhooks/{id}'),
 'renew': ('POST', '/v1/jobs/{id}/renew'),
 'renew_all': ('POST', '/v1/leases/renew'),
 'replay_deliveries': ('POST', '/v1/webhooks/{id}/replay'),
 'resume_queue': ('POST', '/v1/queues/{queue}/resume'),
 'resume_schedule': ('POST', '/v1/schedules/{name}/resume'),
 'retry_job': ('POST', '/v1/jobs/{id}/retry'),
 'rotate_webhook': ('POST', '/v1/webhooks/{id}/rotate'),
 'run_schedule': ('POST', '/v1/schedules/{name}/run'),
 'scale_queue': ('GET', '/v1/queues/{queue}/scale'),
 'seal_batch': ('POST', '/v1/batches/{name}/seal'),
 'set_limit': ('PUT', '/v1/limits/{key}'),
 'set_priority': ('POST', '/v1/jobs/{id}/priority'),
 'set_queue': ('PATCH', '/v1/queues/{queue}'),
 'set_schedule': ('PUT', '/v1/schedules/{name}'),
 'set_weight': ('PUT', '/v1/queues/{queue}/weights'),
 'settle_all': ('POST', '/v1/jobs/settle'),
 'show_batch': ('GET', '/v1/batches/{name}'),
 'show_graph': ('GET', '/v1/graphs/{id}'),
 'show_job': ('GET', '/v1/jobs/{id}'),
 'show_limit': ('GET', '/v1/limits/{key}'),
 'show_operation': ('GET', '/v1/operations/{id}'),
 'show_schedule': ('GET', '/v1/schedules/{name}'),
 'show_webhook': ('GET', '/v1/webhooks/{id}'),
 'snooze': ('POST', '/v1/jobs/{id}/snooze'),
 'stats': ('GET', '/v1/stats'),
 'submit_graph': ('POST', '/v1/graphs'),
 'test_webhook': ('POST', '/v1/webhooks/{id}/test'),
 'wait_for_batch': ('GET', '/v1/batches/{name}/wait'),
 'wait_for_job': ('GET', '/v1/jobs/{id}/wait')}

#: The closed list of codes of errors.
CODES: Final[tuple[str, ...]] = ('malformed',
 'unauthorized',
 'forbidden',
 'not_found',
 'method_not_allowed',
 'request_timeout',
 'conflict',
 'lease_lost',
 'draining',
 'too_large',
 'unsupported_media_type',
 'invalid',
 'idempotency_mismatch',
 'too_many_requests',
 'locked',
 'unavailable',
 'outcome_unknown',
 'internal')
