//! Private PostgreSQL and Redis servers as child processes: for `leasehold dev` and for the tests.
