-- webhook_wanted: whether a reaper has work to do for webhooks.
--
-- Guard:      none, it only reads.
-- Answer:     whether there is a webhook; and whether the trigger is missing, or exists although it is not needed.
-- Index:      none: webhook has at most 1,000 rows.
SELECT EXISTS (SELECT FROM leasehold.webhook) AS any,
       EXISTS (SELECT FROM leasehold.webhook w WHERE w.disabled_at IS NULL)
           <> EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = 'leasehold.history'::regclass AND t.tgname = 'webhook_ended')
           AS must_set
