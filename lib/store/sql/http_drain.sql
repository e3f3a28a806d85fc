-- http_drain: notes that an HTTP worker gets no more jobs.
--
-- Parameters: $1 worker.
-- Zero rows:  the worker is drained already.
-- Index:      http_drain_pkey.
INSERT INTO leasehold.http_drain (worker) VALUES ($1::uuid) ON CONFLICT (worker) DO NOTHING
