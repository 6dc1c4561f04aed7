"""Ray engine: the same work as on local processes, spread over the machines of a Ray cluster, or over a Ray of this machine's own.

Tasks of a worker that dies are run again by Ray. The work writes each file in one step and its result depends on its input alone, so a row that
is done twice leaves the same bytes. Nothing but batches of rows and their results goes over the network; recordings and results lie on storage
that every machine sees under the same path, which is tried out first.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from speechadapt import __version__
from speechadapt.errors import CorpusError, MissingExtraError, MisuseError, SpeechadaptError
from speechadapt.preparation.options import available_cores

One = TypeVar("One")
Other = TypeVar("Other")

BATCH = 64
"""Rows of one task: half a second of work, for a few milliseconds that Ray needs for each task."""

RETRIES = 5
"""How often a batch is given to another worker when its worker dies."""

OBJECT_STORE = 100 << 20
"""Bytes of shared memory for a Ray of our own: rows and results are small."""

START_WAIT = "300"
"""Seconds that Ray may take to start on a busy machine, unless the environment says otherwise; its own limit is 60."""

KNOCK = 10
"""Seconds for the first answer of a cluster."""


def map_on_ray(
    work: Callable[[list[One]], list[Other]],
    batches: Iterator[list[One]],
    *,
    workers: int | None,
    total: int,
    address: str | None,
    probe: Path | None,
    needed: Sequence[Path],
) -> Iterator[tuple[int, list[Other]]]:
    """Map over the workers of a Ray cluster.

    Args:
        work: an importable function; it gets a batch and returns as many results in the same order.
        batches: taken as they are needed.
        workers: batches that are worked on at the same time; None takes every core of the cluster.
        total: rows in all batches, for messages.
        address: `HOST:PORT` of a cluster this machine belongs to, or `ray://HOST:PORT`; None starts a Ray on this machine for as long as this takes.
        probe: a folder in which this machine and every other one try to read each other's files; None if nothing will be written.
        needed: files that every machine must see.

    Yields:
        The number of a batch, from 0, and its results, as they are finished.

    Raises:
        MissingExtraError: Ray is not installed.
        MisuseError: there is no cluster at the address, or one of its machines does not see the files or has another version of this package.
        CorpusError: workers died again and again. Whatever `work` raises comes through.
    """
    ray = _import_ray()
    ours = _connect(ray, address, workers)
    try:
        check_machines(ray, probe, needed)
        at_once = workers if workers is not None else max(1, int(ray.cluster_resources().get("CPU", 1)))
        at_once += ours  # on a Ray of our own, which has no more workers than that, one batch may wait
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(work)
        running: dict[Any, int] = {}
        number, done, more = 0, 0, True
        while more or running:
            while more and len(running) < at_once:
                batch = next(batches, None)
                more = batch is not None
                if batch is not None:
                    running[task.remote(batch)] = number
                    number += 1
            if running:
                (reference,), _ = ray.wait(list(running), num_returns=1)
                results = _results(ray, reference, done, total)
                done += len(results)
                yield running.pop(reference), results
    finally:
        if ours:
            ray.shutdown()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a Ray of our own tells nobody that it runs
    os.environ.setdefault("RAY_raylet_start_wait_time_s", START_WAIT)  # read when Ray is imported
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("Ray (--engine ray)", "ray") from error
    return ray


def _connect(ray: Any, address: str | None, workers: int | None) -> bool:
    """Whether the connection was made here, and so ends here."""
    if ray.is_initialized():
        return False
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address is None:
            ray.init(address="local", num_cpus=workers or available_cores(), include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
        else:
            _knock(address)
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray has no class of its own for a start that fails, and raises bare ones
        where = "on this machine" if address is None else f"at {address}"
        raise MisuseError(
            f"--engine ray: there is no Ray {where} ({' '.join(str(error).split())[:300]}). Start one with `ray start --head` there and "
            "`ray start --address HOST:PORT` on the others, or leave --ray-address and RAY_ADDRESS out. Where the cluster asks for a token, set "
            "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to what `ray get-auth-token` shows there."
        ) from error
    return True


def _knock(address: str) -> None:
    """Ask whether anything listens at `HOST:PORT`, as Ray itself would go on trying for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()


def _results(ray: Any, reference: Any, done: int, total: int) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SpeechadaptError):
            raise error.cause from None
        raise
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError) as error:
        raise CorpusError(
            f"workers died {RETRIES + 1} times over the same rows, after {done} of {total} were done, perhaps for lack of memory. "
            "What was finished is kept. Run the same command again with --resume and a smaller --jobs."
        ) from error


def check_machines(ray: Any, probe: Path | None, needed: Sequence[Path]) -> None:
    """Ask every machine of the cluster whether it sees the same files under the same paths, and has the same version of this package.

    Raises:
        MisuseError: names the machine and what it does not see.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    machines = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not machines:
        raise MisuseError("--engine ray: no machine of the cluster has a processor core to give. Start Ray on one with --num-cpus 1 or more.")
    secret = secrets.token_hex(8)
    here = probe / f"here-{secret}" if probe is not None else None
    there = {machine: probe / f"there-{secret}-{machine}" if probe is not None else None for machine in machines}
    try:
        if here is not None:
            here.write_text(secret, encoding="utf-8")
        asked = [
            ray.remote(num_cpus=0, max_retries=RETRIES)(look_around)
            .options(scheduling_strategy=NodeAffinitySchedulingStrategy(machine, soft=False))
            .remote(here, there[machine], secret, list(needed))
            for machine in machines
        ]
        for machine, answer in zip(machines, ray.get(asked), strict=True):
            _refuse_machine(answer, there[machine], secret, probe)
    except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
        raise MisuseError(
            f"--engine ray: a machine of the cluster cannot run speechadapt ({' '.join(str(error).split())[-300:]}). "
            f"Install speechadapt {__version__} with the same Python on all of them."
        ) from error
    finally:
        for path in (here, *there.values()):
            if path is not None:
                path.unlink(missing_ok=True)


def look_around(here: Path | None, there: Path | None, secret: str, needed: list[Path]) -> tuple[str, str, list[str]]:
    """What one machine sees, asked on that machine: its name, the version of this package, and what is missing."""
    missing = [str(path) for path in needed if not path.is_file()]
    if here is not None and there is not None:
        try:
            if here.read_text(encoding="utf-8") != secret:
                missing.append(str(here.parent))
            there.write_text(secret, encoding="utf-8")
        except OSError:
            missing.append(str(here.parent))
    return socket.gethostname(), __version__, missing


def _refuse_machine(answer: tuple[str, str, list[str]], there: Path | None, secret: str, probe: Path | None) -> None:
    name, version, missing = answer
    if version != __version__:
        raise MisuseError(f"--engine ray: {name} has speechadapt {version}, this machine {__version__}. Install the same version on all of them.")
    if not missing and there is not None and not (there.is_file() and there.read_text(encoding="utf-8") == secret):
        missing = [str(probe)]
    if missing:
        raise MisuseError(
            f"--engine ray: {name} does not see {missing[0]} as this machine does. SRC and OUT must lie on storage that all machines of the cluster "
            "see under the same path, such as NFS or Lustre. Move them there, or run with --engine local."
        )
