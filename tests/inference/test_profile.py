"""Profiles: which samples count, what lies between measured cuts, and what is kept of it."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from inference.cli import model as command
from inference.errors import PlacementError, ProfileError
from inference.hardware import this_machine
from inference.profile import measure as profile_module
from inference.profile.durations import DurationTable
from inference.profile.loop import FrameLoop, integer_reference
from inference.profile.measure import ProfileOptions, Subject, measured_sites
from inference.profile.picture import model_inputs, picture_input, read_frame
from inference.profile.quantiles import least_samples, quantiles, steady
from inference.profile.report import profile_report
from inference.profile.sparse import choose_cuts, interpolated, leave_one_out
from inference.profile.store import check_class, find_profile
from inference.profile.stored import read_profile
from inference.profile.work import cumulative_work
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import open_runtime
from inference.split.model import split_model
from tests.inference.made_tflite import Made

STEPS = 6
MS = 1_000_000


class FakeClock:
    """Time that passes only when work says so."""

    def __init__(self):
        self.now_ns = 0

    def __call__(self):
        return self.now_ns

    def sleep(self, seconds):
        self.now_ns += round(seconds * 1e9)

    def work(self, *, ms, log=None, word=""):
        def run():
            self.now_ns += round((ms() if callable(ms) else ms) * MS)
            if log is not None:
                log.append((word, self.now_ns))

        return run


@pytest.fixture(scope="module")
def content():
    """A chain that adds a constant to a picture of 16 x 16 x 3 again and again."""
    made = Made(shape=(1, 16, 16, 3), inputs=("t0",), outputs=(f"t{STEPS}",))
    for step in range(STEPS):
        made.constant(f"c{step}", np.full((1, 16, 16, 3), 0.25, np.float32))
        made.operator("ADD", (f"t{step}", f"c{step}"), (f"t{step + 1}",))
    return made.content()


@pytest.fixture(scope="module")
def subject(content):
    split = split_model(content)
    return Subject(name="chain", split=split, inputs=model_inputs(split.flow, read_frame(None)))


def measured(subject, *, reference_ms=1.0, **options):
    clock = FakeClock()
    loop = FrameLoop(
        fps=30,
        encode=clock.work(ms=2),
        reference=clock.work(ms=reference_ms),
        timer_ns=clock,
        clock_ns=clock,
        sleep=clock.sleep,
    )
    return measured_sites(
        [subject],
        runtime=open_runtime("litert"),
        loop=loop,
        options=ProfileOptions(**{"samples": 10, "frames": 5} | options),
        rng=np.random.default_rng(0),
    )


def test_a_quantile_lies_in_its_interval_which_narrows_with_samples():
    rng = np.random.default_rng(1)
    samples = rng.gamma(9, 1e6, 4000)
    few, many = (quantiles(samples[:count], rng=np.random.default_rng(2)) for count in (200, 4000))
    for rows in (few, many):
        assert [row.level for row in rows] == [0.5, 0.9, 0.99]
        assert all(row.low <= row.value <= row.high for row in rows)
    assert all(many[i].high - many[i].low < few[i].high - few[i].low for i in range(3))
    assert few == quantiles(samples[:200], rng=np.random.default_rng(2))


@pytest.mark.parametrize(("level", "floor"), [(0.5, 5), (0.9, 20), (0.99, 200)])
def test_a_quantile_with_too_few_samples_is_none_and_says_why(level, floor):
    assert least_samples(level) == floor
    short, enough = (
        quantiles(np.arange(count), rng=np.random.default_rng(0), levels=(level,))[0]
        for count in (floor - 1, floor)
    )
    assert short.value is None
    assert f"at least {floor}" in short.reason
    assert enough.value is not None


def test_blocks_whose_reference_drifted_do_not_count():
    assert steady([1.0, 1.05, 0.95, 1.2, 0.8]).tolist() == [True, True, True, False, False]
    assert steady([]).tolist() == []


def test_a_frame_encodes_runs_the_parts_and_then_the_reference_at_the_rate_of_the_camera():
    clock, log = FakeClock(), []
    loop = FrameLoop(
        fps=50,
        encode=clock.work(ms=3, log=log, word="encode"),
        reference=clock.work(ms=1, log=log, word="reference"),
        timer_ns=clock,
        clock_ns=clock,
        sleep=clock.sleep,
    )
    works = [clock.work(ms=2, log=log, word="head"), clock.work(ms=5, log=log, word="tail")]
    block = loop.block(works, frames=4)
    assert [word for word, _ in log] == ["encode", "head", "tail", "reference"] * 5
    assert np.diff([at for word, at in log if word == "head"]).tolist() == [20 * MS] * 4
    assert block.times_ns.tolist() == [[2 * MS] * 4, [5 * MS] * 4]
    assert (block.reference_ns, block.late) == (1 * MS, 0)


def test_frames_that_overrun_are_counted_and_not_caught_up():
    clock, log = FakeClock(), []
    loop = FrameLoop(
        fps=50,
        encode=clock.work(ms=0),
        reference=clock.work(ms=0),
        timer_ns=clock,
        clock_ns=clock,
        sleep=clock.sleep,
    )
    slow = iter([1, 1, 50, 1, 1])
    block = loop.block([clock.work(ms=lambda: next(slow), log=log, word="part")], frames=4)
    assert block.late == 1
    assert [at // MS for _, at in log] == [1, 21, 90, 91, 111]


def test_the_reference_is_the_same_work_every_time():
    reference = integer_reference()
    assert np.array_equal(reference(), reference())


def test_every_cut_is_measured_on_both_sides(subject):
    (sites,), facts = measured(subject)
    assert [site.position for site in sites] == list(range(1, STEPS + 1))
    assert all(len(site.prefix_ns) == 10 for site in sites)
    assert [len(site.suffix_ns) for site in sites] == [10] * (STEPS - 1) + [0]
    assert (facts.blocks, facts.discarded, facts.reference_ns) == (2 * STEPS, 0, MS)


def test_a_drifted_block_is_counted_and_measured_again(subject):
    frames = iter(range(10**6))

    def reference_ms():  # six frames a block: one of warm-up, five that count
        return 1.5 if 12 <= next(frames) < 24 else 1.0

    (sites,), facts = measured(subject, reference_ms=reference_ms)
    assert (facts.blocks, facts.discarded) == (2 * STEPS + 2, 2)
    assert all(len(site.prefix_ns) == 10 for site in sites)


def test_a_machine_that_is_never_steady_gives_no_profile(subject, monkeypatch):
    monkeypatch.setattr(profile_module, "steady", lambda values: np.zeros(len(values), dtype=bool))
    with pytest.raises(ProfileError, match="never steady"):
        measured(subject)


def test_the_whole_is_tried_longest_because_nothing_can_stand_in_for_it(subject):
    frames = iter(range(10**6))

    def reference_ms():  # the machine calms down when all rounds are over
        block = next(frames) // 6
        return 1.0 if block >= 4 * STEPS else 2.0 ** (block % 7)

    (sites,), facts = measured(subject, reference_ms=reference_ms, samples=5, extra_rounds=1)
    assert sites[-1].position == STEPS
    assert len(sites[-1].prefix_ns) >= 5
    assert facts.discarded > 0


def test_fewer_samples_than_a_median_needs_are_refused():
    with pytest.raises(ProfileError, match="at least 5"):
        ProfileOptions(samples=4)


def test_a_sparse_profile_has_all_positions_and_says_which_were_measured(subject):
    (sites,), _ = measured(subject, sparse=4)
    report = profile_report(subject, sites, rng=np.random.default_rng(0))
    assert len(report.measured) == 4
    assert (report.measured[0], report.measured[-1]) == (0, STEPS)
    assert report.prefix.ns.shape == report.suffix.ns.shape == (1, STEPS + 1)
    assert report.levels == (0.5,)


def test_cuts_are_chosen_around_the_largest_step_of_time():
    chosen = choose_cuts(
        8, of=101, work=np.linspace(0, 1, 101), probe=lambda index: index * 0.01 + 50 * (index > 37)
    )
    assert {0, 37, 38, 100} <= set(chosen)
    assert len(chosen) == 8
    assert choose_cuts(50, of=5, work=np.arange(5.0), probe=float) == (0, 1, 2, 3, 4)


def test_durations_that_follow_the_work_are_interpolated_exactly():
    rng = np.random.default_rng(3)
    work = np.concatenate([np.zeros((1, 3)), rng.uniform(0, 5, (40, 3)).cumsum(axis=0)])
    truth = work @ np.array([3.0, 0.5, 0.1])
    chosen = (0, 9, 17, 22, 31, 40)
    values = truth[list(chosen)]
    assert interpolated(work, chosen, values) == pytest.approx(truth, rel=1e-6, abs=1e-6)
    error = leave_one_out(work, chosen, values)
    assert error.cuts == 6
    assert error.worst_pct < 0.01


def test_between_measured_cuts_durations_neither_overshoot_nor_turn():
    rng = np.random.default_rng(4)
    work = np.concatenate([np.zeros((1, 3)), rng.uniform(0, 5, (60, 3)).cumsum(axis=0)])
    chosen = (0, 5, 20, 40, 60)
    curve = interpolated(work, chosen, [0.0, 9.0, 7.0, 7.0, 30.0])  # measured values may fall
    for left, right in pairwise(chosen):
        steps = np.diff(curve[left : right + 1])
        assert (steps >= 0).all() or (steps <= 0).all()
    assert curve[list(chosen)].tolist() == [0.0, 9.0, 7.0, 7.0, 30.0]


def test_work_counts_multiplications_bytes_and_operators(models_dir):
    split = split_model((models_dir / "hand_landmark_lite.tflite").read_bytes())
    work = cumulative_work(split.flow, [cut.position for cut in split.cuts])
    assert (np.diff(work, axis=0) >= 0).all()
    assert 50e6 < work[-1, 0] < 400e6  # the model is known to multiply some hundred million times
    assert work[-1, 2] == len(split.flow.operators)


def test_middle_parts_pay_for_both_of_their_ends():
    prefix, suffix = [[0.0, 5.0, 9.0, 11.0]], [[11.0, 8.0, 4.0, 0.0]]
    table = DurationTable.from_prefixes(prefix, suffix_ns=suffix).ns[0]
    assert table[0].tolist() == [0, 5, 9, 11]
    assert table[:, -1].tolist() == [11, 8, 4, 0]
    assert table[1, 2] == 9 + 8 - 11


def test_the_picture_becomes_the_models_input(subject):
    way = picture_input(subject.split.flow)
    assert (way.width_px, way.height_px, way.channels, way.channels_last) == (16, 16, 3, True)
    (values,) = subject.inputs.values()
    assert values.shape == (1, 16, 16, 3)
    assert 0 <= values.min() < values.max() <= 1


@pytest.mark.parametrize(
    ("shape", "channels_last"),
    [
        ((1, 16, 24, 1), True),
        ((1, 3, 16, 24), False),
        ((1, 16, 24, 5), None),
        ((1, 24), None),
        ((2, 8, 8, 3), None),
    ],
)
def test_pictures_are_recognised_by_their_channels(shape, channels_last):
    made = Made(shape=shape)
    made.operator("ADD", ("x", "x"), ("y",))
    flow = split_model(made.content()).flow
    way = picture_input(flow)
    assert (way and way.channels_last) is channels_last
    (values,) = model_inputs(flow, read_frame(None)).values()
    assert values.shape == shape


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "words.jpg"
    path.write_text("no picture")
    with pytest.raises(ProfileError, match="--frame"):
        read_frame(path)


def test_the_fingerprint_of_hardware_changes_with_the_engines_choices():
    one, same, other = (
        this_machine(open_runtime("litert"), options).fingerprint
        for options in (RuntimeOptions(), RuntimeOptions(), RuntimeOptions(delegates=()))
    )
    assert one == same != other
    assert check_class(one) == one


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "-x", "x" * 33])
def test_names_that_cannot_name_a_file_are_refused(name):
    with pytest.raises(ProfileError, match="hardware class"):
        check_class(name)


@pytest.fixture
def call(content, tmp_path, monkeypatch):
    """The command in a cache of its own, on a machine that counts as steady whatever else it does."""
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(profile_module, "steady", lambda values: np.ones(len(values), dtype=bool))
    (tmp_path / "chain.tflite").write_bytes(content)

    def run(*words):
        return CliRunner().invoke(command, [words[0], str(tmp_path / "chain.tflite"), *words[1:]])

    return run


def test_the_command_stores_a_profile_that_placement_reads(call, content):
    done = call("profile", "--class", "hmd", "--samples", "20", "--fps", "0", "--json")
    assert done.exit_code == 0, done.output
    view = json.loads(done.stdout)
    assert Path(view["path"]).name == "hmd-litert-1.json"
    assert view["levels"] == [0.5, 0.9]
    (whole,) = [part for part in view["parts"] if (part["start"], part["end"]) == (0, STEPS)]
    assert whole["samples"] == 20
    assert whole["quantiles"][2]["value"] is None
    assert "at least 200" in whole["quantiles"][2]["reason"]
    profile = read_profile(Path(view["path"]))
    assert profile.hardware == "hmd"
    assert profile.packing.ratio > 0
    assert [rung.name for rung in profile.rungs] == ["jpeg50", "jpeg75", "jpeg90"]
    assert profile.table(tuple(range(STEPS + 1))).ns.shape == (2, STEPS + 1, STEPS + 1)


def test_placement_takes_stored_profiles_by_their_class_with_packing_and_pictures(call):
    for name in ("hmd", "desk"):
        words = ("--class", name, "--samples", "5" if name == "hmd" else "20", "--fps", "0", "--sparse", "4")
        assert call("profile", *words).exit_code == 0
    words = ("--device", "hmd", "--worker", "desk", "--rtt", "2", "--uplink", "100", "--deadline", "20")
    done = call("place", *words, "--json")
    assert done.exit_code == 0, done.output
    view = json.loads(done.stdout)
    assert set(view["chosen"]["quantiles_ms"]) == {"p50"}  # the level that both profiles have
    pairs = STEPS * (STEPS + 1) // 2
    assert view["candidates"] == 1 + 2 * (
        pairs + 3 * STEPS
    )  # local; raw and packed; three pictures from the front


def test_people_read_where_it_is_how_sure_it_is_and_what_was_left_out(call, tmp_path):
    out = tmp_path / "mine.json"
    done = call("profile", "--samples", "5", "--fps", "0", "--sparse", "4", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert str(out) in done.stdout
    assert "4 of 7 cuts measured" in done.stdout
    assert "p99 unknown (5 samples" in done.stdout
    assert "each left out once" in done.stdout
    assert out.is_file()


def test_profiles_are_found_by_class_or_file_and_only_for_their_model(call, tmp_path):
    for name, threads in (("hmd", "1"), ("desk", "1"), ("desk", "2")):
        words = ("--class", name, "--threads", threads, "--samples", "5", "--fps", "0", "--sparse", "3")
        assert call("profile", *words).exit_code == 0
    folder = tmp_path / "cache" / "profiles"
    (digest,) = [path.name for path in folder.iterdir()]
    found = find_profile("hmd", model="chain", model_sha256=digest, folder=folder)
    assert found.hardware == "hmd"
    path = folder / digest / "desk-litert-2.json"
    assert find_profile(str(path), model="chain", model_sha256=digest, folder=folder).hardware == "desk"
    with pytest.raises(ProfileError, match="2 profiles of desk"):
        find_profile("desk", model="chain", model_sha256=digest, folder=folder)
    with pytest.raises(ProfileError, match=r"stored: desk, hmd.*headway model profile"):
        find_profile("watch", model="chain", model_sha256=digest, folder=folder)
    with pytest.raises(ProfileError, match="no profile of chain"):
        find_profile(str(path), model="chain", model_sha256="0" * 64, folder=folder)
    path.write_text("{}")
    with pytest.raises(PlacementError, match="is no profile"):
        find_profile(str(path), model="chain", model_sha256=digest, folder=folder)
