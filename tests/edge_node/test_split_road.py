"""A whole headset and a whole worker on one road, real models: frames in parts have the bytes of the whole model."""

import random
import threading
import time

import cv2
import pytest
from edge_site import DEVICE, SITE, WORKER, site, until

from broker.road import Traffic
from cloud_worker.desk import Desk
from cloud_worker.intake import Intake, IntakeConfig, Offer
from cloud_worker.models import hands_kitchen
from cloud_worker.presence import Identity, Presence
from cloud_worker.replier import Replier
from cloud_worker.service import Service
from cloud_worker.slots import Slots
from cloud_worker.tally import Tally
from edge_node.decide import Path
from edge_node.engines import EngineMaker
from edge_node.errors import PlacementMisfitError
from edge_node.frames import Captured
from inference.runtimes.registry import open_runtime
from inference.tasks.hands import HandsConfig
from observability.metrics import Registry
from schemas.codec import Encoder, decode
from schemas.documents import (
    DevicePresence,
    SplitConfig,
    WorkerPresence,
    canonical_bytes,
    parse_document,
)
from schemas.messages import Frame, PartCoding, Result, Task, Timing
from schemas.placements import Placement
from schemas.topics import topic, topic_filter

PLACE, EARLIER = {"head_end": 20, "tail_start": 59}, {"head_end": 13, "tail_start": 59}
SPLIT, PACKED = (
    SplitConfig(policy="split", placement={**PLACE, "packed": packed}, deadline_ms=900, reply_timeout_ms=700)
    for packed in (False, True)
)


class Photo:
    """A source that shows one photo for ever."""

    outages = 0

    def __init__(self, path):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        self.image = cv2.resize(image, (640, 480))

    def capture(self, frame_id):
        return Captured(image=self.image, ring_index=0)

    def close(self):
        pass


@pytest.fixture(scope="module")
def maker(models_dir):
    return EngineMaker(open_runtime("litert"), models=models_dir, config=HandsConfig(max_hands=1))


@pytest.fixture
def here(tmp_path, maker):
    with site(tmp_path) as place:
        place.maker = maker
        yield place


@pytest.fixture
def worker(here, models_dir):
    """A worker as ``worker run`` wires it, on the loopback road."""
    kitchen = hands_kitchen(
        models_dir, runtime="litert", max_hands=1, max_pixels=1 << 22, clock_ns=time.perf_counter_ns
    )
    identity = Identity(
        site=SITE,
        worker="w-1",
        boot_id=b"\x01" * 16,
        software="0",
        tasks=("hands",),
        models={"hands": kitchen.digests[Task.HANDS].hex()},
        kernels=kitchen.kernels,
    )
    here.hidden = set()  # placements that the worker's presence does not tell of

    def shown():
        return {
            digest: tuple(placement for placement in proved if placement not in here.hidden)
            for digest, proved in kitchen.parts.placements().items()
        }

    presence = Presence(identity, wall_ms=lambda: 1, placements=shown)
    control = here.broker.road("w-control", birth=presence.birth)
    data = here.broker.road("w-data", traffic=Traffic.DATA)
    tally = Tally(Registry())
    replier = Replier(
        data, site=SITE, worker="w-1", tally=tally, clock_ns=time.monotonic_ns, new_span=lambda: bytes(8)
    )
    models = frozenset(kitchen.parts.models)
    offers = {Task.HANDS: Offer(kinds=(Frame,), models=models, part_models=models)}
    slots = Slots(
        Intake(IntakeConfig(offers=offers)),
        count=1,
        make_answerers=kitchen.make_answerers,
        finish=replier.finish,
        clock_ns=time.monotonic_ns,
    )
    slots.start()
    service = Service(
        identity=identity,
        control=control,
        data=data,
        desk=Desk(
            replier=replier,
            executor=slots,
            tally=tally,
            clock_ns=time.monotonic_ns,
            soon=lambda call: call(),
        ),
        executor=slots,
        presence=presence,
        tally=tally,
        later=lambda delay_s, call: threading.Timer(delay_s, call).start(),
        rng=random.Random(1),
    )
    service.open()
    kitchen.parts.on_proved = here.announce = service.announce
    kitchen.parts.start()
    yield tally
    kitchen.parts.stop()
    service.leave(timeout_s=5)


def recorded(hands):
    """Every frame that these parts ended, as it was looked at and what it came to."""
    kept, finish = [], hands.finish

    def keep(looked, returned):
        result = finish(looked, returned)
        kept.append((looked, result))
        return result

    hands.finish = keep
    return kept


def paths(here):
    return here.headset._journey.answers.ledger.totals.paths


@pytest.mark.parametrize("config", [SPLIT, PACKED], ids=["raw", "packed"])
def test_frames_in_parts_are_proved_offered_and_exact(config, here, worker, maker, hand_photos):
    source = Photo(hand_photos["handSrc.jpg"])
    factory = maker.factory()
    here.boot(factory=factory, split=config, fps=15, source=source)
    kept = recorded(here.headset._journey.local.engine.parts.hands)
    until(lambda: paths(here)[Path.SPLIT] >= 20, what="frames in parts", timeout_s=60)
    told = here.headset._explain()
    births = []
    here.broker.road("watcher").subscribe(
        topic("device-presence", site=SITE, device=DEVICE),
        lambda delivery: births.append(parse_document(DevicePresence, delivery.payload)),
        qos=1,
    )
    until(lambda: births, what="the headset's presence")
    assert births[0].kernels == {factory.digest: maker.fitted(factory, SPLIT).kernel}
    summary = here.stop()
    assert told["policy"] == "split"
    assert summary["none"] == 0
    refused = worker.snapshot().refused
    assert refused["unknown_placement"] >= 1
    # the others where the host is busy: a newer frame came before this one's turn, or no time was left for a run
    assert set(refused) <= {"unknown_placement", "busy", "expired"}
    seen = [(looked, result) for looked, result in kept if looked.rois]
    assert len(seen) >= 20
    for looked, result in seen:
        expected = [factory.task.look(source.image, roi) for roi in looked.rois]
        assert looked.live.coding is config.placement.coding
        assert [hand.landmarks.tobytes() for hand in result.hands] == [
            hand.landmarks.tobytes() for hand in expected if hand is not None
        ]
    lines = [line for line in here.lines() if line["path"] == "split"]
    assert all(line["result_frame_id"] == line["frame_id"] and line["worker"] == "w-1" for line in lines)
    assert sum(line["answered"]["split"] for line in here.lines("telemetry")) == len(lines)


def test_frames_go_at_both_pairs_of_cuts_and_are_exact_at_each(here, worker, maker, hand_photos):
    """Each is asked for and proved; when the one that frames took is withdrawn, they go on at the other."""
    source = Photo(hand_photos["handSrc.jpg"])
    factory = maker.factory()
    config = SplitConfig(
        placement=PLACE,
        placements=[EARLIER],
        tiers=["split"],  # whatever it costs
        on_time_floor=0,
        deadline_ms=900,
        reply_timeout_ms=700,
    )
    here.boot(factory=factory, split=config, fps=15, source=source)
    engine = here.headset._journey.local.engine
    kept = {cut.parts.placement: recorded(cut.parts.hands) for cut in engine.cuts}
    assert [str(placement) for placement in kept] == ["20:59", "13:59"]

    def told():
        """What the newest decision says of each pair."""
        rows = here.headset._journey.decisions.rows()
        considered = rows[-1]["considered"] if rows else []
        return {row["placement"]: row["why_not"] for row in considered if "placement" in row}

    until(
        lambda: len(told()) == 2 and not any("proved" in why_not for why_not in told().values()),
        what="both proofs",
        timeout_s=60,
    )
    until(lambda: paths(here)[Path.SPLIT] >= 10, what="frames in parts", timeout_s=60)
    taken = max(kept, key=lambda placement: len(kept[placement]))
    (other,) = set(kept) - {taken}
    here.hidden.add(taken.id)
    here.announce()
    until(lambda: len(kept[other]) >= 10, what="frames at the other pair", timeout_s=60)
    rows = here.headset._explain()["decisions"]
    assert any(row.get("placement") == str(other) for row in rows)
    summary = here.stop()
    assert summary["none"] == 0
    for placement, seen in kept.items():
        assert seen, placement
        for looked, result in seen:
            expected = [factory.task.look(source.image, roi) for roi in looked.rois]
            assert [hand.landmarks.tobytes() for hand in result.hands] == [
                hand.landmarks.tobytes() for hand in expected if hand is not None
            ]


def test_an_engine_is_cut_at_every_pair_and_what_stays_is_not_cut_again(maker):
    two = SplitConfig(placement=PLACE, placements=[EARLIER])
    cut = maker.fitted(maker.factory(), two)
    assert [str(each.parts.placement) for each in cut.cuts] == ["20:59", "13:59"]
    first, other = (each.parts for each in cut.cuts)
    assert first.head_share > other.head_share
    assert first.up_bytes < other.up_bytes
    assert maker.fitted(cut, two) is cut
    turned = maker.fitted(cut, SplitConfig(placement=EARLIER, placements=[PLACE]))
    assert [each.parts for each in turned.cuts] == [other, first]
    one = maker.fitted(cut, SplitConfig(policy="split", placement=PLACE, placements=[EARLIER]))
    assert [each.parts for each in one.cuts] == [first]
    assert maker.fitted(cut, SplitConfig(policy="local")).cuts == ()


def test_a_further_pair_that_does_not_fit_is_named(maker):
    misfit = SplitConfig(placement=PLACE, placements=[{"head_end": 20, "tail_start": 640}])
    with pytest.raises(PlacementMisfitError, match="placement 20:640 does not fit factory"):
        maker.fitted(maker.factory(), misfit)


def test_a_worker_that_lies_about_its_tensors_costs_time_and_no_answer(here, maker, hand_photos):
    """The frame is computed whole, the worker is left alone for a while, and no engine is blamed."""
    engine = maker.fitted(maker.factory(), SPLIT)
    presence = WorkerPresence(
        worker="w-1",
        online=True,
        session=1,
        boot_id="0" * 32,
        software="1",
        tasks=("hands",),
        kernels={engine.digest: engine.kernel},
        placements={engine.digest: (Placement(start=20, end=59).id,)},
        sent_ms=0,
    )
    liar = Liar(here.broker.road("w-data", traffic=Traffic.DATA))
    control = here.broker.road("w-control")
    control.publish(
        topic("worker-presence", site=SITE, worker="w-1"), canonical_bytes(presence), qos=1, retain=True
    )
    here.boot(factory=maker.factory(), split=SPLIT, fps=15, source=Photo(hand_photos["handSrc.jpg"]))
    until(lambda: liar.told >= 2 and paths(here)[Path.LOCAL] >= 3, what="whole runs", timeout_s=30)
    assert here.headset._health().failed == 0
    summary = here.stop()
    assert summary["none"] == 0
    assert summary["paths"]["split"] == 0


class Liar:
    """Answers live tensors with tensors that no part yields."""

    def __init__(self, road):
        self.told = 0

        def answer(delivery):
            asked = decode(bytes(delivery.payload))
            result = Result(
                header=asked.header,
                timing=Timing(received_ns=1),
                part_subjects=1,
                part_payload=bytes(12),
            )
            road.publish(
                topic("result", site=SITE, device=DEVICE, worker=WORKER, task="hands"),
                Encoder().encode(result),
            )
            self.told += 1

        road.subscribe(topic_filter("infer", site=SITE, worker=WORKER), answer)


def test_an_engine_is_cut_anew_where_tensors_are_to_travel_another_way(maker):
    raw = maker.fitted(maker.factory(), SPLIT)
    assert maker.fitted(raw, SPLIT) is raw
    packed = maker.fitted(raw, PACKED)
    assert (raw.parts.coding, packed.parts.coding) == (PartCoding.RAW, PartCoding.PACKED)
    assert maker.fitted(packed, SplitConfig()).parts is None


def test_a_placement_of_another_model_is_refused_with_the_nearest_cut(maker):
    misfit = SplitConfig(policy="split", placement={"head_end": 20, "tail_start": 640})
    with pytest.raises(PlacementMisfitError, match=r"20:640 does not fit factory: .* nearest is 63"):
        maker.fitted(maker.factory(), misfit)


def test_a_placement_whose_tensors_fit_no_message_is_refused(maker):
    wide = SplitConfig(policy="split", placement={"head_end": 4, "tail_start": 63})
    with pytest.raises(PlacementMisfitError, match="3211264 bytes of tensors would travel"):
        maker.fitted(maker.factory(), wide)


def test_a_model_file_that_was_changed_since_it_was_loaded_is_not_cut(models_dir, tmp_path):
    for path in models_dir.glob("*_full.tflite"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    own = EngineMaker(open_runtime("litert"), models=tmp_path, config=HandsConfig(max_hands=1))
    factory = own.factory()
    changed = tmp_path / "hand_landmark_full.tflite"
    changed.write_bytes(changed.read_bytes() + bytes(4))
    with pytest.raises(PlacementMisfitError, match=r"was changed since it was loaded"):
        own.fitted(factory, SPLIT)


def test_cutting_an_engine_does_not_run_the_model_that_the_slot_may_be_running(maker, monkeypatch):
    factory = maker.factory()
    monkeypatch.setattr(factory.task.landmark, "run", lambda _values: pytest.fail("it belongs to the slot"))
    assert maker.fitted(factory, SPLIT).parts.head_share > 0


def test_an_engine_is_cut_once_for_a_placement_and_whole_again_without(maker):
    factory = maker.factory()
    assert maker.fitted(factory, SplitConfig(policy="local", placement=PLACE)) is factory
    cut = maker.fitted(factory, SPLIT)
    assert maker.fitted(cut, SPLIT) is cut
    assert 0 < cut.parts.head_share <= 1
    assert 0 < cut.parts.tail_share < cut.parts.head_share
    assert maker.fitted(cut, SplitConfig(policy="offload")).parts is None
    assert factory.kernel == ""
    assert cut.kernel == maker.fitted(maker.factory(), SPLIT).kernel != ""
