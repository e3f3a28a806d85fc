$MIGRATION

INSERT INTO leasehold.migration (version, description, success, checksum, execution_time)
VALUES ($VERSION, '$DESCRIPTION', true, '\x$CHECKSUM', -1);

