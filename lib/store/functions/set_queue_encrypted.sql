-- set_queue_encrypted: sets whether a queue takes encrypted payloads, and creates the triggers that refuse others, with the names of these
-- queues in their conditions; or drops the triggers with the last queue. While no queue takes encrypted payloads, there is no
-- trigger and no extra cost. With one, an INSERT into another queue costs one comparison of names for each job.
--
-- Guard:      the lock for the transaction: two callers never write the names of the queues at the same time.
-- Parameters: the queue, and whether it takes encrypted payloads.
-- Locks:      SHARE ROW EXCLUSIVE on job, history and schedule to create triggers, ACCESS EXCLUSIVE to drop them. All writes wait behind a
--             caller that waits for such a lock, so the caller must set a short lock timeout.
-- Alone:      this must be the only statement of its transaction.
-- Revived:    a job that is revived, and a dead letter, have a trail: their payloads are stored already, and stay as they are.
-- Rights:     of the owner: only the owner of a table may change its triggers. Operators call it.
CREATE OR REPLACE FUNCTION leasehold.set_queue_encrypted(_queue text, _encrypted boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    queues text;
    plain constant text := 'NOT starts_with(NEW.payload::text, ''{"$encrypted":{"v":'')';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('leasehold.encryption', 0));
    IF _encrypted AND starts_with(_queue, 'leasehold.') THEN
        RAISE EXCEPTION 'queue % belongs to Leasehold itself, and its payloads are made in SQL, which cannot encrypt', _queue
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO leasehold.queue AS q (name, encrypted) VALUES (_queue, _encrypted)
    ON CONFLICT (name) DO UPDATE SET encrypted = EXCLUDED.encrypted;
    SELECT string_agg(quote_literal(q.name), ', ' ORDER BY q.name) INTO queues FROM leasehold.queue q WHERE q.encrypted;
    IF queues IS NULL THEN
        DROP TRIGGER IF EXISTS plain_payload ON leasehold.job;
        DROP TRIGGER IF EXISTS plain_replacement ON leasehold.job;
        DROP TRIGGER IF EXISTS plain_payload ON leasehold.schedule;
        DROP TRIGGER IF EXISTS plain_results ON leasehold.history;
        RETURN;
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER plain_payload BEFORE INSERT ON leasehold.job FOR EACH ROW
                    WHEN (NEW.queue::text IN (%s) AND NEW.trail IS NULL AND %s) EXECUTE FUNCTION leasehold.refuse_plain_payload()',
                   queues, plain);
    -- A job that waits can become another one: see replace_waiting.
    EXECUTE format('CREATE OR REPLACE TRIGGER plain_replacement BEFORE UPDATE OF payload ON leasehold.job FOR EACH ROW
                    WHEN (NEW.queue::text IN (%s) AND %s) EXECUTE FUNCTION leasehold.refuse_plain_payload()', queues, plain);
    EXECUTE format('CREATE OR REPLACE TRIGGER plain_payload BEFORE INSERT OR UPDATE OF payload ON leasehold.schedule FOR EACH ROW
                    WHEN (NEW.queue::text IN (%s) AND %s) EXECUTE FUNCTION leasehold.refuse_plain_payload()', queues, plain);
    IF NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = 'leasehold.history'::regclass AND t.tgname = 'plain_results') THEN
        CREATE TRIGGER plain_results AFTER INSERT ON leasehold.history
            REFERENCING NEW TABLE AS ended FOR EACH STATEMENT EXECUTE FUNCTION leasehold.refuse_plain_results();
    END IF;
END
$$;
