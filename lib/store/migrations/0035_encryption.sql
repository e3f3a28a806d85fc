-- Whether the payloads of a queue are encrypted, which is checked by triggers that exist only while there is such a queue. See
-- docs/adr/0042-payloads-are-encrypted-at-the-edge.md.
ALTER TABLE leasehold.queue ADD COLUMN encrypted boolean NOT NULL DEFAULT false;
