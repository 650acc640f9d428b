"""Shell: times prefixes and suffixes of models as they really run, and what memory they take.

A *site* is one cut: its prefix and its suffix are opened as models of their own, and both run in the frames of
a block. Blocks of all sites of all models take turns in random order, so that a drift of the machine hits all
alike; blocks whose reference drifted do not count and are repeated as far as ``extra_rounds`` allow. Refuses a
machine on which nothing is steady.
"""

import ctypes
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import psutil

from inference.errors import ProfileError
from inference.profile.loop import FrameLoop
from inference.profile.quantiles import least_samples, steady
from inference.profile.sparse import choose_cuts
from inference.profile.work import cumulative_work
from inference.runtimes.base import Array, Runtime
from inference.split.model import SplitModel
from inference.split.placed import Part, open_part
from inference.split.traffic import transfer_bytes

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
_PROBES = 5
_LEAST_EXTRA_ROUNDS = 4
_LAST_TRIES = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """One model to profile, with inputs by tensor name."""

    name: str
    split: SplitModel
    inputs: Mapping[str, Array]

    @property
    def positions(self) -> tuple[int, ...]:
        """All its legal cuts."""
        return tuple(cut.position for cut in self.split.cuts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """``samples`` a part, ``frames`` in a block; ``sparse``: how many cuts to measure, None for all."""

    samples: int = 200
    frames: int = 10
    sparse: int | None = None
    extra_rounds: int | None = None  # None: as many again as were planned, four at least
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse what can give no median.

        Raises:
            ProfileError: too few samples.
        """
        if self.samples < least_samples(0.5) or self.frames < 1:
            raise ProfileError(f"{self.samples} samples bear no median: take at least {least_samples(0.5)}")

    @property
    def rounds(self) -> int:
        """Blocks of every site."""
        return -(-self.samples // self.frames)

    @property
    def extra(self) -> int:
        """Rounds more, for sites whose blocks drifted."""
        return max(self.rounds, _LEAST_EXTRA_ROUNDS) if self.extra_rounds is None else self.extra_rounds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SiteTimes:
    """Durations that count, of the parts before and behind one cut; empty where there is no such part.

    ``*_rss_bytes``: how much the process grew when the part was opened and run the first time.
    """

    position: int
    prefix_ns: Floats
    suffix_ns: Floats
    prefix_rss_bytes: int
    suffix_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """How steady the machine was: the reference's median, blocks in all, those that drifted, late frames."""

    reference_ns: float
    blocks: int
    discarded: int
    late_frames: int
    seconds: float


@dataclass(slots=True, eq=False)
class _Site:
    """A cut under measurement; says which of its parts exist, and whether its prefix is the whole model."""

    subject: int
    position: int
    has_prefix: bool
    has_suffix: bool
    is_whole: bool
    rss_bytes: list[int] = field(default_factory=lambda: [0, 0])
    visited: bool = False


_Blocks = list[tuple[_Site, npt.NDArray[np.int64], float, int]]  # site, times, reference, late frames


def measured_sites(
    subjects: Sequence[Subject],
    /,
    *,
    runtime: Runtime,
    loop: FrameLoop,
    options: ProfileOptions,
    rng: np.random.Generator,
    progress: Progress = lambda _done, _total: None,
) -> tuple[list[list[SiteTimes]], RunFacts]:
    """Measure every chosen cut; gives each subject's sites by rising position, the ends included.

    Raises:
        ProfileError: at no time was the machine steady.
        GraphError: a model cannot be cut as its cuts promise.
        ModelLoadError: the engine cannot open a part.
    """
    started_s = time.monotonic()
    for subject in subjects:  # what an engine takes once for all models is no part's memory
        _probed(subject, subject.positions[-1], runtime=runtime, threads=options.threads)
    sites = [
        site
        for number, subject in enumerate(subjects)
        for site in _sites(number, subject, runtime=runtime, options=options)
    ]
    blocks: _Blocks = []
    for number in range(options.rounds + options.extra + _LAST_TRIES):
        wanted = _wanted(number, sites, blocks, options=options)
        for index in rng.permutation(len(wanted)):
            site = wanted[index]
            block = _visit(site, subjects[site.subject], runtime=runtime, loop=loop, options=options)
            blocks.append((site, *block))
            progress(len(blocks), options.rounds * len(sites))
    facts = RunFacts(
        reference_ns=float(np.median([row[2] for row in blocks])),
        blocks=len(blocks),
        discarded=int((~_steady(blocks)).sum()),
        late_frames=sum(row[3] for row in blocks),
        seconds=time.monotonic() - started_s,
    )
    return [_times(number, sites, blocks) for number in range(len(subjects))], facts


def _sites(number: int, subject: Subject, *, runtime: Runtime, options: ProfileOptions) -> Iterator[_Site]:
    positions = subject.positions
    runs = transfer_bytes(subject.split.flow, positions).runs
    chosen: Sequence[int] = range(len(positions))
    if options.sparse is not None and options.sparse < len(positions):
        work = cumulative_work(subject.split.flow, positions)
        abscissa = (work / np.maximum(work[-1], 1)).sum(axis=1)

        def probe(index: int) -> float:
            if not runs[0, index]:
                return 0.0
            return _probed(subject, positions[index], runtime=runtime, threads=options.threads)

        chosen = choose_cuts(options.sparse, of=len(positions), work=abscissa, probe=probe)
    last = len(positions) - 1
    for index in chosen:
        if index:  # nothing runs before the first position, and what runs behind it is the whole
            whole = index == last
            behind = not whole and bool(runs[index, -1])
            yield _Site(number, positions[index], bool(runs[0, index]), behind, whole)


def _probed(subject: Subject, position: int, *, runtime: Runtime, threads: int) -> float:
    """A quick look at a prefix in ns, back to back: good for choosing where to measure, and no more."""
    times = []
    with closing(open_part(subject.split, 0, position, runtime=runtime, threads=threads)) as part:
        for _ in range(_PROBES):
            started_ns = time.perf_counter_ns()
            part.run(subject.inputs)
            times.append(time.perf_counter_ns() - started_ns)
    return float(np.median(times))


def _visit(
    site: _Site, subject: Subject, *, runtime: Runtime, loop: FrameLoop, options: ProfileOptions
) -> tuple[npt.NDArray[np.int64], float, int]:
    """Open a site's parts, time one block, close them; the first visit takes their memory as well."""
    last = subject.positions[-1]
    spans = [(0, site.position)] * site.has_prefix + [(site.position, last)] * site.has_suffix
    values = dict(subject.inputs)
    parts: list[Part] = []
    times = np.zeros((2, options.frames), dtype=np.int64)
    try:
        for span in spans:
            before = 0 if site.visited else _resident_bytes()
            parts.append(open_part(subject.split, *span, runtime=runtime, threads=options.threads))
            values.update(parts[-1].run(values))
            if not site.visited:
                site.rss_bytes[span[0] > 0] = max(0, _resident_bytes() - before)
        block = loop.block([partial(part.run, values) for part in parts], frames=options.frames)
    finally:
        for part in parts:
            part.close()
    site.visited = True
    for row, span in zip(block.times_ns, spans, strict=True):
        times[int(span[0] > 0)] = row
    return times, block.reference_ns, block.late


def _steady(blocks: _Blocks) -> npt.NDArray[np.bool_]:
    return steady([row[2] for row in blocks])


def _wanted(
    number: int, sites: Sequence[_Site], blocks: _Blocks, *, options: ProfileOptions
) -> Sequence[_Site]:
    """Sites to visit in this round: all, then those that lost blocks, at last only wholes without a median.

    Other cuts can be interpolated, the whole cannot.
    """
    if number < options.rounds:
        return sites
    if number < options.rounds + options.extra:
        return _short_of(options.samples, sites, blocks)
    return _short_of(least_samples(0.5), [site for site in sites if site.is_whole], blocks)


def _short_of(samples: int, sites: Sequence[_Site], blocks: _Blocks) -> list[_Site]:
    """Sites that lost blocks to drifts and want more."""
    kept = {id(site): 0 for site, *_ in blocks}
    for (site, times, _, _), counts in zip(blocks, _steady(blocks), strict=True):
        kept[id(site)] += times.shape[1] if counts else 0
    return [site for site in sites if kept[id(site)] < samples]


def _times(subject: int, sites: Sequence[_Site], blocks: _Blocks) -> list[SiteTimes]:
    """What counts of one subject; cuts with too few steady samples are left out, the whole must have them."""
    mask, rows = _steady(blocks), []
    for site in sites:
        if site.subject != subject:
            continue
        kept = [row[1] for row, counts in zip(blocks, mask, strict=True) if counts and row[0] is site]
        times = np.concatenate([np.zeros((2, 0)), *kept], axis=1)
        if times.shape[1] < least_samples(0.5):
            continue
        rows.append(
            SiteTimes(
                position=site.position,
                prefix_ns=times[0] if site.has_prefix else np.zeros(0),
                suffix_ns=times[1] if site.has_suffix else np.zeros(0),
                prefix_rss_bytes=site.rss_bytes[0],
                suffix_rss_bytes=site.rss_bytes[1],
            )
        )
    whole = next(site.position for site in sites if site.subject == subject and site.is_whole)
    if not rows or rows[-1].position != whole:
        raise ProfileError(
            f"the machine was never steady while the whole model ran ({int((~mask).sum())} of {len(mask)} blocks "
            "drifted): end other programs and profile again, or raise --samples"
        )
    return rows


def _resident_bytes() -> int:
    """Memory of this process, after what the C library only keeps for later was given back where it can."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
    return int(psutil.Process().memory_info().rss)
