-- Lines whose jobs must move, because the step of a queue has changed. See docs/adr/0027-a-reaper-finishes-the-move-of-a-line.md.
CREATE TABLE leasehold.reorder (
    queue text NOT NULL,
    -- The transaction that changed the step. A job of a transaction that began before may have the position of the old step.
    since xid8 NOT NULL,

    CONSTRAINT reorder_pkey PRIMARY KEY (queue)
);
