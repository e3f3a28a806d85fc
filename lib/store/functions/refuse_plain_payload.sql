-- refuse_plain_payload: the triggers of set_queue_encrypted call it for a payload that is not encrypted, in a queue that takes encrypted
-- payloads only.
--
-- Guard:      the condition of the trigger, which names the queues.
-- Answer:     none: it fails with 22ENC, unless the caller is a function that makes jobs from data that is already stored.
-- Excepted:   fire_schedules and end_batches switch leasehold.takes_plain on while they make jobs. A schedule that was set before
--             the queue took only encrypted payloads continues with its plain payload. The payload of a callback contains only
--             the name of the batch and numbers.
-- Rights:     of the caller. It reads no table.
CREATE OR REPLACE FUNCTION leasehold.refuse_plain_payload() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('leasehold.takes_plain', true) = 'on' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'queue % takes encrypted payloads, and this one is not encrypted: SQL cannot encrypt; use the Rust client, the command line or HTTP, with the setting encryption.keys', NEW.queue
        USING ERRCODE = '22ENC';
END
$$;
