-- retain_drop: drops the oldest partition if all its jobs are older than the retention. One partition for each call.
--
-- Guard:      one caller at a time (a lock for the transaction); gives up soon when the table is in use.
-- Parameters: $1 the retention of finished jobs, in seconds.
-- Answer:     the name of the partition, or NULL if no partition can be dropped now.
SELECT leasehold.drop_partition($1::bigint * interval '1 second') AS partition
