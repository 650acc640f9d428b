"""Fuzz the language: ``python -m bench.fuzz --mutants 20000 --json`` (or ``make fuzz``).

Mutants of frames, results and all other messages go through ``decode`` and ``check_sender``, mutants of
documents through ``parse_document``. Each must end as a message or as a reason: anything else is a crash.
With ``--live`` (or ``--worker URL``) the mutants also go to a live worker, which must refuse every broken one and survive.
Exits 1 on a crash, on a mutant over its time bound, or when a reason never occurred.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Annotated

import typer

from bench.fuzz_worker import WorkerReport, fuzz_worker
from bench.good import WrittenKind, good_documents, good_messages, seed_messages
from bench.live_worker import LiveProcess, null_worker
from bench.mutants import KINDS, Mutant, Mutator
from broker.errors import MosquittoMissing
from observability import log
from schemas.codec import Encoder, decode
from schemas.documents import parse_document
from schemas.errors import MalformedMessage, Reason
from schemas.messages import Ping
from schemas.verify import check_sender

BOUND_MS = 1000.0  # a mutant that takes longer counts as a hang
DOCUMENT = "document"  # their family
DOCUMENT_SHARE = 20  # one document mutant per so many messages
IDS = {"site": "s", "device": "d-1", "worker": "w-1", "task": "hands"}
Judge = Callable[[Mutant], str]  # the reason, or "accepted"


@dataclass(slots=True)
class Report:
    """What a run found. ``reasons`` counts refusals by reason; ``crashes`` must stay empty.

    ``resealed`` (those whose checksum held) and ``structural`` are of ``messages``: documents have neither checksum
    nor layout. ``redrawn`` counts mutations thrown away because they left no place for the checksum.
    """

    seed: int
    mutants: int = 0
    messages: int = 0
    resealed: int = 0
    redrawn: int = 0
    structural: int = 0
    accepted: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    over_bound: int = 0
    slowest_ms: float = 0.0
    reasons_missing: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """No crash, no hang, every reason seen."""
        return not (self.crashes or self.over_bound or self.reasons_missing)

    def as_dict(self) -> dict[str, object]:
        """The report for JSON."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "passed": self.passed}

    def judged(self, mutant: Mutant, verdict: str, took_ms: float) -> None:
        """Count one mutant's end."""
        self.mutants += 1
        self.messages += mutant.family != DOCUMENT
        self.resealed += mutant.resealed and verdict != Reason.BAD_CHECKSUM.value
        self.redrawn += mutant.redrawn
        self.structural += mutant.family in KINDS
        self.families[mutant.family] += 1
        self.slowest_ms = max(self.slowest_ms, took_ms)
        self.over_bound += took_ms > BOUND_MS
        if verdict == "accepted":
            self.accepted += 1
        else:
            self.refused += 1
            self.reasons[verdict] += 1


def codec_judge(mutant: Mutant) -> str:
    """Through verifier, codec and sender check: the reason, or "accepted"."""
    try:
        message = decode(mutant.data)
        check_sender(IDS, message)
    except MalformedMessage as malformed:
        return malformed.reason.value
    repr(message)  # touches every view, so that one outside of the buffer would show here
    return "accepted"


def document_mutants(count: int, *, seed: int) -> Iterable[tuple[Mutant, Judge]]:
    """Mutants of documents, each with the judge of its kind."""
    rng = Random(seed)
    good = good_documents()
    for _ in range(count):
        kind, document = rng.choice(good)
        data = bytearray(document)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)

        def judge(mutant: Mutant, kind: WrittenKind = kind) -> str:
            try:
                check_sender(IDS, parse_document(kind, mutant.data))
            except MalformedMessage as malformed:
                return malformed.reason.value
            return "accepted"

        yield Mutant(family=DOCUMENT, data=bytes(data), resealed=False), judge


def messages(count: int, *, seed: int) -> Iterable[Mutant]:
    """``count`` mutants of all kinds of messages."""
    encoder = Encoder()
    return Mutator([encoder.encode(message) for message in seed_messages()], seed=seed).mutants(count)


def cases(count: int, *, seed: int, judge: Judge) -> Iterable[tuple[Mutant, Judge]]:
    """``count`` mutants of messages, each with ``judge``, and documents beside them."""
    for mutant in messages(count, seed=seed):
        yield mutant, judge
    yield from document_mutants(count // DOCUMENT_SHARE, seed=seed)


def run(count: int, *, seed: int, judge: Judge = codec_judge) -> Report:
    """Judge ``count`` mutants of messages and a twentieth as many of documents."""
    report = Report(seed=seed)
    for mutant, its_judge in cases(count, seed=seed, judge=judge):
        began = time.perf_counter_ns()
        try:
            verdict = its_judge(mutant)
        except Exception as error:  # noqa: BLE001 - any exception at all is the finding
            verdict = "crash"
            report.crashes.append(
                f"{mutant.family}: {type(error).__name__}: {error}: {mutant.data[:64].hex()}"
            )
        report.judged(mutant, verdict, (time.perf_counter_ns() - began) / 1e6)
    report.reasons_missing = sorted(reason.value for reason in Reason if reason.value not in report.reasons)
    return report


def main(
    mutants: Annotated[int, typer.Option(min=1, help="how many mutants of messages")] = 20_000,
    seed: Annotated[int, typer.Option(help="the same seed draws the same mutants")] = 1,
    live: Annotated[
        bool, typer.Option("--live", help="also fuzz a worker process of our own behind a real broker")
    ] = False,
    worker_url: Annotated[
        str | None, typer.Option("--worker", metavar="URL", help="also fuzz a worker behind this broker")
    ] = None,
    worker_id: Annotated[str, typer.Option(help="id of that worker")] = "w-1",
    site: Annotated[str, typer.Option(help="site of that worker")] = "demo",
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Break messages and documents, and see that each is refused with a reason.

    Example: python -m bench.fuzz --mutants 20000 --json
    """
    log.configure("fuzz", level="warning")
    report = run(mutants, seed=seed)
    try:
        worker = worker_report(mutants, seed=seed, live=live, url=worker_url, worker=worker_id, site=site)
    except (ConnectionError, MosquittoMissing) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(3) from error
    passed = report.passed and (worker is None or worker.passed)
    if as_json:
        told = None if worker is None else {**asdict(worker), "passed": worker.passed}
        print(json.dumps({**report.as_dict(), "worker": told, "passed": passed}, indent=2))
    else:
        print_report(report, worker)
    if not passed:
        print(f"fuzz failed; see the report, and rerun with --seed {seed}", file=sys.stderr)
        raise typer.Exit(1)


def worker_report(
    mutants: int, *, seed: int, live: bool, url: str | None, worker: str, site: str
) -> WorkerReport | None:
    """What a live worker made of the mutants; None where none was asked for."""
    if not live and url is None:
        return None
    ping = next(message for message in good_messages() if isinstance(message, Ping))
    with null_worker(site=site, worker=worker) if url is None else nullcontext(LiveProcess(url)) as process:
        report = fuzz_worker(process.url, messages(mutants, seed=seed), site=site, worker=worker, ping=ping)
    if process.ended is not None:
        report.compare(process.ended)
    return report


def print_report(report: Report, worker: WorkerReport | None) -> None:
    """The report for people."""
    print(
        f"{report.mutants} mutants: {report.accepted} accepted, {report.refused} refused, {len(report.crashes)} crashes"
    )
    print(
        f"{report.resealed} of {report.messages} messages resealed ({report.redrawn} redrawn for it), "
        f"{report.structural} structure-aware"
    )
    for reason, times in report.reasons.most_common():
        print(f"  {reason:22}{times:7}")
    for finding in (*report.crashes[:3], *(f"never seen: {reason}" for reason in report.reasons_missing)):
        print(f"  FINDING {finding}")
    if worker is not None:
        print(
            f"worker: {worker.sent} sent, {worker.refusals} of {worker.expected_refusals} broken ones refused, "
            f"{worker.other_replies} others answered, alive {worker.alive}"
        )
        for finding in worker.unaccounted or ():
            print(f"  FINDING {finding}")


if __name__ == "__main__":
    typer.run(main)
