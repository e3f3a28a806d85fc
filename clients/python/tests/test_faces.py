"""The four faces of Leasehold (command line, SQL, HTTP, Python) accept the same jobs, store the same, and refuse the same."""

from __future__ import annotations

import json
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import Fleet

import leasehold
from leasehold import Client, NewJob, _calls

JOBS = 300
SEED = 12
#: The words with values that are fine, and with values that are not.
WORDS: dict[str, tuple[list[Any], list[Any]]] = {
    "priority": ([-100, 0, 7, 100], [101, -101, 1.5, "high", True]),
    # SQL also takes numbers as text, as PostgreSQL does everywhere.
    "max_attempts": ([1, 5, 10_000], [0, 10_001, -1]),
    # Python takes numbers as seconds, so bad numbers are not the same there.
    "delay": (["1h", "1h30m", "90000s", "2d"], ["soon", "-1s", ""]),
    "timeout": (["30s", "5m"], ["0s", "never"]),
    "limit_keys": ([["a"], ["a", "b/c"]], [[f"k{n}" for n in range(9)], [""], "a"]),
    "fair_key": (["ann", "ä b"], ["", 7]),
    "expires_in": (["10m", "1d"], ["x", "0s"]),
    "retry": (
        [{"strategy": "fixed", "base": "2s"}, {"strategy": "linear", "base": "1s", "cap": "1m", "for": "1h"}],
        [{"strategy": "random"}, {"base": "x"}, "fixed", {"colour": 1}],
    ),
    "depends_on": ([[]], [["no-uuid"], ["0198c5a4-0000-7000-8000-000000000000"]]),
    "on_parent_failure": (["hold", "cancel"], ["explode", 1]),
    "batch": (["of-faces"], ["", 3]),
    "webhook": (["of-tests"], ["nobody", "a b", "", 3]),
    "traceparent": (["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], ["00-x", "", 7]),
}
PAYLOADS: list[Any] = [{}, {"a": 1}, [], "text", 0, -1.5, True, 12345678901234567890123, {"ä": {"b": [1, {"c": "\u2028\"\\"}]}}]
#: What differs for each job, or depends on the moment.
LEFT_OUT = ("id", "queue", "created_at", "run_at", "expires_at", "retry_until", "trail")


def _word(chance: random.Random) -> dict[str, Any]:
    """The words of a random job. Every third one has a bad word."""
    words: dict[str, Any] = {"kind": chance.choice(["mail", "a.b-c_d"]), "payload": chance.choice(PAYLOADS)}
    for name in chance.sample(sorted(WORDS), k=chance.randint(0, 4)):
        words[name] = chance.choice(WORDS[name][0])
    if chance.random() < 1 / 3:
        bad = chance.choice([*sorted(WORDS), "kind", "colour"])
        words[bad] = chance.choice(WORDS[bad][1]) if bad in WORDS else chance.choice(["", "a b", 3])
    return words


class Faces:
    """Enqueues one job in four ways. Each answers with an id, or with `None` if the job was refused."""

    def __init__(self, fleet: Fleet, client: Client) -> None:
        self._fleet, self._client = fleet, client

    def by_http(self, words: dict[str, Any]) -> str | None:
        """The body as it is."""
        try:
            answer = self._client.do(_calls.Call("enqueue", lambda answer, _: answer.json(), body=words))
            return str(answer["id"])
        except leasehold.Invalid:
            return None

    def by_python(self, words: dict[str, Any]) -> str | None:
        """The arguments of the client."""
        try:
            return self._client.enqueue_job(NewJob(**words)).id
        except (leasehold.Invalid, leasehold.ConfigError, TypeError):
            return None

    def by_command(self, words: dict[str, Any]) -> str | None:
        """A line of `enqueue --stdin`."""
        command = self._fleet.command("enqueue", "--stdin")
        ended = subprocess.run(
            command, input=json.dumps(words), capture_output=True, text=True, timeout=60, check=False, env=self._fleet.env
        )
        if ended.returncode == 0:
            return ended.stdout.split()[0]
        # The job was refused, and not the command.
        assert ended.returncode in (1, 2) and ("line 1" in ended.stderr or "nothing was accepted" in ended.stderr), ended.stderr
        return None

    def by_sql(self, all_words: list[dict[str, Any]], folder: Path) -> list[str | None]:
        """A statement for each job, in one session."""
        settings = (self._fleet.folder / "data" / "leasehold.toml").read_text()
        script = folder / "faces.sql"
        lines = []
        for nth, words in enumerate(all_words):
            text = json.dumps([words], ensure_ascii=False)
            lines.append(f"SELECT 'job {nth} ' || (leasehold.enqueue_many($words${text}$words$)).id;\n")
        script.write_text("".join(lines))
        command = ["psql", settings.split('url = "', 1)[1].split('"', 1)[0], "-XqAt", "-f", str(script)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        made = dict(line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("job "))
        assert ended.stderr.count("ERROR:") == len(all_words) - len(made), ended.stderr[:3000]
        return [made.get(str(nth)) for nth in range(len(all_words))]


def _seen(job: leasehold.Job) -> dict[str, Any]:
    """What is stored, without what differs."""
    view: dict[str, Any] = {name: value for name, value in job.raw.items() if name not in LEFT_OUT}
    return {**view, "delay_s": round((job.run_at - job.created_at).total_seconds(), 3)}


@pytest.mark.parametrize("seed", [SEED])
def test_four_faces_give_the_same_answer(fleet: Fleet, client: Client, queue: str, tmp_path: Path, seed: int) -> None:
    fleet.has_webhook("of-tests")
    chance = random.Random(seed)
    jobs = [{**_word(chance), "queue": queue} for _ in range(JOBS)]
    faces = Faces(fleet, client)
    by_sql = faces.by_sql(jobs, tmp_path)
    # A process for each job takes long: every second job that SQL refuses, and some of the others.
    refused = [nth for nth, id in enumerate(by_sql) if id is None]
    by_command = refused[::2] + [nth for nth, id in enumerate(by_sql) if id is not None][::15]
    with ThreadPoolExecutor(4) as pool:
        answers = {
            "sql": dict(enumerate(by_sql)),
            "http": dict(enumerate(pool.map(faces.by_http, jobs))),
            "python": dict(enumerate(pool.map(faces.by_python, jobs))),
            "command": dict(zip(by_command, pool.map(lambda nth: faces.by_command(jobs[nth]), by_command))),
        }
    stored: dict[str | None, Any] = {job.id: _seen(job) for job in client.jobs(queue=queue)}
    stored[None] = "refused"
    differ: list[str] = []
    for nth, words in enumerate(jobs):
        seen = {face: stored[ids[nth]] for face, ids in answers.items() if nth in ids}
        if any(one != seen["http"] for one in seen.values()):
            differ.append(f"{json.dumps(words)}: {json.dumps(seen)}")
    assert not differ, f"seed {seed}: {len(differ)} of {JOBS} jobs differ:\n" + "\n".join(differ[:5])
    assert 50 < len(refused) < JOBS - 100, "the test must see both"
