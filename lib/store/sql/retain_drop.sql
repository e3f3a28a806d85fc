-- retain_drop: drops the oldest partition whose jobs are all older than they are kept, one a call.
--
-- Guard:      one caller at a time (a lock for the transaction); gives up soon when the table is in use.
-- Parameters: $1 how long finished jobs are kept, in seconds.
-- Answer:     the partition's name, or NULL when there is none to be dropped now.
SELECT leasehold.drop_partition($1::bigint * interval '1 second') AS partition
