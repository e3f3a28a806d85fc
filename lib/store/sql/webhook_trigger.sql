-- webhook_trigger: creates or drops the trigger that makes deliveries, as the webhooks want.
--
-- Guard:      the guard of the function.
-- Answer:     on, off or busy.
SELECT leasehold.set_webhook_trigger() AS answer
