-- set_webhook_trigger: creates the trigger that makes deliveries if a webhook is enabled, and drops the trigger if none is. Without
-- the trigger, webhooks cost the end of a job nothing.
--
-- Guard:      one caller at a time (a lock for the transaction). A caller reads the webhooks only after it has the lock. So no
--             session drops a trigger that another session has seen and relies on.
-- Answer:     on; off; or busy: another session holds a lock. After busy nothing has changed, and the next call tries again.
-- Locks:      SHARE ROW EXCLUSIVE on history to create the trigger, ACCESS EXCLUSIVE to drop it, both for a moment. Ends of jobs
--             wait behind a caller that waits for such a lock, so the caller gives up soon.
-- Alone:      this must be the only statement of its transaction. While such a transaction is open, no job can end.
-- Rights:     of the owner: only the owner of a table may change its triggers. Operators call it.
CREATE OR REPLACE FUNCTION leasehold.set_webhook_trigger() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    is_wanted boolean;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leasehold.webhook', 0)) THEN
        RETURN 'busy';
    END IF;
    is_wanted := EXISTS (SELECT FROM leasehold.webhook w WHERE w.disabled_at IS NULL);
    IF is_wanted = EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = 'leasehold.history'::regclass AND t.tgname = 'webhook_ended') THEN
        RETURN CASE WHEN is_wanted THEN 'on' ELSE 'off' END;
    END IF;
    IF is_wanted THEN
        CREATE TRIGGER webhook_ended AFTER INSERT ON leasehold.history
            REFERENCING NEW TABLE AS ended FOR EACH STATEMENT EXECUTE FUNCTION leasehold.webhook_ended();
        RETURN 'on';
    END IF;
    DROP TRIGGER webhook_ended ON leasehold.history;
    RETURN 'off';
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN 'busy';
END
$$;
