-- name_webhook: notes which webhook a job names for its own end.
--
-- Guard:      a webhook of this name exists, enabled or disabled. It may be removed later: then the end of the job makes
--             no delivery.
-- Parameters: the job, which this transaction has written; the id of the webhook.
-- Answer:     none. An unknown webhook is an invalid_parameter_value.
-- Again:      a job that replaces another one, or that has the id of a job that left history, names its own webhook.
-- Index:      webhook_pkey, job_webhook_pkey.
-- Rights:     of the caller. The functions that users may call have the rights of the owner.
CREATE OR REPLACE FUNCTION leasehold.name_webhook(_job uuid, _webhook text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO leasehold.job_webhook AS n (job, webhook)
    SELECT _job, w.id FROM leasehold.webhook w WHERE w.id = _webhook
    ON CONFLICT (job) DO UPDATE SET webhook = excluded.webhook, created_at = excluded.created_at;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'leasehold.enqueue: webhook is %, and there is no webhook of this id', quote_literal(left(_webhook, 200))
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
