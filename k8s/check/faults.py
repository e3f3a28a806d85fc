"""Causes real faults on real fleets, so that each alert of the rules fires once.

Each fault has a separate fleet, whose name is the label `namespace` of its alerts. All faults happen at the same
time, on the same servers. The windows of the rules are shorter here, see prometheus.py; everything else about the
rules is as in production.
"""

import os
import resource
import shutil
import signal

from live import eventually

# By alert: the name of the fleet on which it must fire.
EXPECTED = {}
FAULTS = {}
# This fleet has its own Redis, which the fault empties.
FLUSHED = "flushed"
# Alerts that fire when there is no process any more. See `observe.py`.
ABSENT = "LeaseholdAbsent"


def fault(*alerts, **settings):
    """The name of the function is the name of the fleet."""

    def register(function):
        name = function.__name__.replace("_", "-")
        FAULTS[name] = (function, settings)
        for alert in alerts:
            assert alert not in EXPECTED, alert
            EXPECTED[alert] = name
        return function

    return register


def quiet_reaper(fleet, **own):
    return fleet.start("reaper", "reaper", **{"LEASEHOLD_REAPER__TICK_MS": "500"} | own)


@fault("LeaseholdStartDelayBurnsFast", "LeaseholdStartDelayBurns", "LeaseholdStartDelayBurnsSlowly")
def overloaded(fleet):
    """300 jobs that have been due for 10 s when the fleet sees them, and that take a while."""
    quiet_reaper(fleet)
    fleet.start("worker", "worker", "--queue", "default=4", "--exec", "k=sleep 0.2")
    fleet.seen()
    earlier = ", ".join(f"{time} = {time} - interval '10 s'" for time in ("created_at", "run_at", "line_at"))
    # In one transaction.
    fleet.sql(f"SELECT count(leasehold.enqueue('k', '1')) FROM generate_series(1, 300); UPDATE leasehold.job SET {earlier}")


@fault("LeaseholdQueueWithoutWorkers")
def unserved(fleet):
    """Jobs in a queue that no worker serves."""
    quiet_reaper(fleet)
    fleet.enqueue("k", 3, queue="'nobody'")


@fault("LeaseholdQueueStalled")
def stalled(fleet):
    """Jobs of a kind that the workers of the queue do not know."""
    quiet_reaper(fleet)
    fleet.start("worker", "worker", "--queue", "default=2", "--exec", "known=true")
    fleet.enqueue("unknown", 3)
    fleet.sql("UPDATE leasehold.job SET run_at = run_at - interval '1 minute', line_at = line_at - interval '1 minute'")


@fault("LeaseholdJobsDie", "LeaseholdMostJobsDie")
def dying(fleet):
    """A handler that ends every job."""
    quiet_reaper(fleet)
    fleet.enqueue("k", 200)
    fleet.start("worker", "worker", "--queue", "default=4", "--exec", "k=exit 65")


@fault("LeaseholdReaperAbsent")
def reaperless(fleet):
    """The only reaper is killed."""
    fleet.start("worker", "worker", "--queue", "default=1", "--exec", "k=true")
    reaper, _ = quiet_reaper(fleet)
    fleet.seen()
    reaper.kill()


@fault("LeaseholdReaperStepFails", "LeaseholdSchedulesLate", "LeaseholdUpkeepStopped")
def broken(fleet):
    """Functions that the reaper calls are missing."""
    fleet.run("schedule", "set", "often", "--every", "1s", "--kind", "k")
    for function in "fire_schedules", "make_partition":
        fleet.sql(f"ALTER FUNCTION leasehold.{function} RENAME TO {function}_is_gone")
    # A partition has to be made.
    fleet.sql("DO $$ DECLARE p text; BEGIN FOR p IN SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = "
              "'leasehold.history'::regclass AND inhrelid::regclass::text ~ '20' LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; END $$")
    quiet_reaper(fleet)


@fault("LeaseholdScheduledJobsLate")
def late(fleet):
    """A transaction enqueues jobs for a time, and commits long after this time."""
    quiet_reaper(fleet)
    fleet.seen()
    # In one transaction.
    jobs = "SELECT count(leasehold.enqueue('k', '1', run_at => now() + interval '1 s')) FROM generate_series(1, 50)"
    fleet.until_fired(lambda: fleet.sql(f"{jobs}; SELECT pg_sleep(9)"))


@fault("LeaseholdDrift")
def drifting(fleet):
    """Forty queues are paused with plain SQL, so that Redis does not know of the pauses."""
    quiet_reaper(fleet)
    fleet.seen()
    fleet.sql("INSERT INTO leasehold.queue (name, paused_at) SELECT 'q' || n, now() FROM generate_series(1, 40) n")


@fault("LeaseholdRedisLost")
def flushed(fleet):
    """Redis loses all its data. This fleet has its own Redis."""
    quiet_reaper(fleet)
    fleet.enqueue("k", 5)
    fleet.seen()
    filled = lambda: fleet.redis("EXISTS", f"{fleet.name}:{{default}}:ready") == "1"

    def flush():
        eventually("flushed: hints are in Redis", filled)
        fleet.redis("FLUSHALL")

    fleet.until_fired(flush)


@fault("LeaseholdLeasesExpire", "LeaseholdResultsRefused", LEASEHOLD_WORKER__LEASE_MS="1500", LEASEHOLD_WORKER__GRACE_MS="20000")
def frozen(fleet):
    """A worker is frozen with ten running jobs, until their leases have run out."""
    quiet_reaper(fleet, LEASEHOLD_REAPER__TICK_MS="100")
    worker, _ = fleet.start("worker", "worker", "--queue", "default=10", "--exec", "k=sleep 1")
    fleet.seen()
    running = "SELECT count(*) FROM leasehold.job WHERE state = 'running'"

    def freeze():
        fleet.enqueue("k", 10)
        eventually("frozen: jobs run", lambda: fleet.number(running) >= 8)
        worker.send_signal(signal.SIGSTOP)
        eventually("frozen: the leases have run out", lambda: fleet.number(running) == 0)
        worker.send_signal(signal.SIGCONT)
        eventually("frozen: the jobs end", lambda: fleet.number("SELECT count(*) FROM leasehold.job") == 0)

    fleet.until_fired(freeze)


@fault("LeaseholdFilesRunOut", "LeaseholdWorkerLacks")
def cramped(fleet):
    """A worker may open only very few files."""
    quiet_reaper(fleet)
    worker, _ = fleet.start("worker", "worker", "--queue", "default=4", "--exec", "k=true")
    fleet.enqueue("k", 2)
    fleet.seen()
    eventually("cramped: a job has run", lambda: fleet.number("SELECT count(*) FROM leasehold.history") == 2)
    # Room for the connection that asks for the metrics, and for no command.
    most = len(os.listdir(f"/proc/{worker.pid}/fd")) + 2
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (most, most))
    fleet.enqueue("k", 200)


@fault("LeaseholdPostgresUnavailable")
def without_postgres(fleet):
    """PostgreSQL refuses connections."""
    through, (link,) = fleet.linked("LEASEHOLD_DATABASE_URL")
    fleet.start("worker", "worker", "--queue", "default=1", "--exec", "k=true", **through)
    quiet_reaper(fleet, **through)
    fleet.seen()
    link.set("shut")


@fault("LeaseholdRedisUnavailable")
def without_redis(fleet):
    """Redis refuses connections."""
    through, (link,) = fleet.linked("LEASEHOLD_REDIS_URL")
    fleet.start("worker", "worker", "--queue", "default=1", "--exec", "k=true", **through)
    fleet.seen()
    link.set("shut")


@fault("LeaseholdStoreUnavailableForSome")
def parted(fleet):
    """One of two processes cannot reach Redis."""
    through, (link,) = fleet.linked("LEASEHOLD_REDIS_URL")
    fleet.start("worker", "worker", "--queue", "default=1", "--exec", "k=true", **through)
    quiet_reaper(fleet)
    fleet.seen()
    link.set("shut")


@fault("LeaseholdConnectionsRunOut", LEASEHOLD_DATABASE__MAX_CONNECTIONS="1", LEASEHOLD_DATABASE__ACQUIRE_TIMEOUT_MS="20000")
def starved(fleet):
    """PostgreSQL is slow, and a worker with eight queues has one connection."""
    fleet.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END'")
    queues = [f"q{nth}" for nth in range(8)]
    served = [word for queue in queues for word in ("--queue", f"{queue}=2")]
    quiet_reaper(fleet)
    fleet.start("worker", "worker", *served, "--exec", "k=true")
    fleet.seen()
    fleet.sql("CREATE TRIGGER slow BEFORE UPDATE ON leasehold.job FOR EACH ROW EXECUTE FUNCTION slow()")
    for queue in queues:
        fleet.enqueue("k", 30, queue=f"'{queue}'")


def needs():
    """Programs that the faults need."""
    return [name for name in ("redis-server", "redis-cli", "prometheus", "promtool") if shutil.which(name) is None]

