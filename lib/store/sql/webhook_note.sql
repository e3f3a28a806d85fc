-- webhook_note: writes one attempt into the log, and updates the state of the endpoint from its result. An endpoint that wants no
-- messages (410), or that has only failed for five days, is disabled.
--
-- Guard:      the webhook has not been changed since the attempt began (revision), and is enabled. Its row is written only if its health
--             changes.
-- Parameters: $1 webhook, $2 revision, $3 delivery, $4 job, $5 event, $6 attempt, $7 status, $8 ms, $9 error, $10 the beginning of the
--             answer. An attempt without an error has succeeded.
-- Answer:     whether this attempt has disabled the webhook, and why.
-- Zero rows:  it has not.
-- Index:      webhook_pkey.
WITH noted AS (
    INSERT INTO leasehold.webhook_attempt (id, webhook, delivery, job, event, attempt, status, ms, error, answer)
    VALUES (leasehold.new_id(), $1::text, $3, $4, $5::text, $6::integer, $7::integer, $8::integer, $9::text, $10::text)
), health AS (
    UPDATE leasehold.webhook w
    SET failing_since = CASE WHEN $9::text IS NOT NULL THEN coalesce(w.failing_since, now()) END,
        disabled_at = CASE WHEN $7::integer = 410 OR ($9::text IS NOT NULL AND w.failing_since < now() - interval '5 days') THEN now() END,
        disabled_reason = CASE WHEN $7::integer = 410 THEN 'the endpoint wants no more messages: it answered 410 Gone'
                               WHEN $9::text IS NOT NULL AND w.failing_since < now() - interval '5 days'
                               THEN 'every attempt has failed for five days' END
    WHERE w.id = $1::text AND w.revision = $2::integer AND w.disabled_at IS NULL
      AND CASE WHEN $9::text IS NULL THEN w.failing_since IS NOT NULL
               ELSE w.failing_since IS NULL OR $7::integer = 410 OR w.failing_since < now() - interval '5 days' END
    RETURNING w.disabled_reason
)
SELECT h.disabled_reason FROM health h WHERE h.disabled_reason IS NOT NULL
