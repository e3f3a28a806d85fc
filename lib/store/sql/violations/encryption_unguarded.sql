-- encryption_unguarded: if a queue takes encrypted payloads, the triggers that refuse plain payloads exist and name the
-- queue.
-- Index: none, it reads the catalog.
SELECT NULL::uuid AS id,
       format('queue %s takes encrypted payloads, and no trigger of %s refuses others; `leasehold queue set %s --encrypted on` makes it again',
              q.name, w.what, q.name) AS detail
FROM leasehold.queue q
CROSS JOIN (VALUES ('job', 'plain_payload', true), ('job', 'plain_replacement', true), ('schedule', 'plain_payload', true),
                   ('history', 'plain_results', false)) AS w(what, name, names_queues)
WHERE q.encrypted
  AND NOT EXISTS (
      SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relname = w.what AND t.tgname = w.name AND t.tgenabled <> 'D'
        AND (NOT w.names_queues OR strpos(pg_get_triggerdef(t.oid), quote_literal(q.name)) > 0))
LIMIT 100
