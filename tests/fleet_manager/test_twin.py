"""Which presence and which report count, and what is desired next."""

from dataclasses import replace

import pytest
from fleet_scene import presence

from fleet_manager import twin
from fleet_manager.domain import Admission, Connectivity, Settled
from fleet_manager.registration import ANSWER_WITHIN_MS, MAX_OPEN, ChallengeBook
from fleet_manager.rollout import SetDesired
from fleet_manager.twin import Verdict
from schemas.documents import Desired, PackageRef, Reported, SplitConfig
from schemas.states import UpdateState

A, B = "a" * 32, "b" * 32
DEVICE = twin.newcomer(presence(session=5), admission=Admission.ADMITTED, now_ms=1)
OFFLINE = replace(DEVICE, connectivity=Connectivity.OFFLINE)
UNKNOWN = replace(DEVICE, connectivity=Connectivity.UNKNOWN)
PACKAGE = PackageRef(digest="0" * 64, manifest_bytes=10, name="hands", version="1", model_digest="1" * 64)


@pytest.mark.parametrize(
    ("device", "said", "verdict"),
    [
        (DEVICE, presence(session=5, online=False), Verdict.ACCEPT),
        (DEVICE, presence(session=4, online=False), Verdict.STALE),
        (DEVICE, presence(session=6, online=False), Verdict.STALE),
        (DEVICE, presence(boot=B, session=5, online=False), Verdict.STALE),
        (DEVICE, presence(session=5), Verdict.ACCEPT),
        (DEVICE, presence(session=6), Verdict.ACCEPT),
        (DEVICE, presence(session=4), Verdict.STALE),
        (DEVICE, presence(boot=B, session=1), Verdict.CHALLENGE),
        (OFFLINE, presence(boot=B, session=1), Verdict.ACCEPT),
        (UNKNOWN, presence(boot=B, session=1), Verdict.ACCEPT),
    ],
)
def test_presence_is_weighed_by_session_boot_and_connectivity(device, said, verdict):
    assert twin.judge(device, said) is verdict


def reported(**fields) -> Reported:
    return Reported(**{"device": "hs-1", "boot_id": A, "seq": 4, "sent_ms": 1, **fields})


@pytest.mark.parametrize(
    ("device", "said", "counts"),
    [
        (DEVICE, reported(), True),
        (DEVICE, reported(boot_id=B), False),
        (OFFLINE, reported(boot_id=B), True),
        (replace(DEVICE, reported=reported(seq=4)), reported(seq=4), True),
        (replace(DEVICE, reported=reported(seq=4)), reported(seq=3), False),
        (replace(DEVICE, reported=reported(boot_id=B, seq=9)), reported(seq=1), True),
    ],
)
def test_a_report_counts_when_it_is_of_the_online_boot_and_not_older(device, said, counts):
    assert twin.counts(device, said) is counts


def test_a_commit_of_the_current_desired_settles_it_and_nothing_else_does():
    desired = Desired(device="hs-1", epoch=7, version=3, package=PACKAGE, sent_ms=1)
    device = replace(DEVICE, desired=desired)
    for state, version, settled in [
        (UpdateState.COMMITTED, 3, Settled(package=PACKAGE)),
        (UpdateState.COMMITTED, 2, Settled()),
        (UpdateState.FAILED, 3, Settled()),
    ]:
        after = twin.with_report(device, reported(state=state, epoch=7, version=version), now_ms=2)
        assert after.settled == settled


def test_the_next_version_is_above_everything_sent_or_reported():
    desired = Desired(device="hs-1", epoch=7, version=3, sent_ms=1)
    assert twin.next_version(DEVICE, epoch=7) == (7, 1)
    assert twin.next_version(replace(DEVICE, desired=desired), epoch=7) == (7, 4)
    assert twin.next_version(replace(DEVICE, desired=desired), epoch=9) == (9, 1)
    newer = replace(DEVICE, desired=desired, reported=reported(epoch=8, version=2))
    assert twin.next_version(newer, epoch=7) == (8, 3)


@pytest.mark.parametrize(
    ("epoch", "version", "following"),
    [
        (8, twin.LAST - 1, (8, twin.LAST)),
        (8, twin.LAST, (9, 1)),
        (twin.LAST, 5, (twin.LAST, 6)),
        (twin.LAST, twin.LAST, (twin.LAST, twin.LAST)),
    ],
)
def test_the_next_version_never_leaves_the_range_of_documents(epoch, version, following):
    device = replace(DEVICE, reported=reported(epoch=epoch, version=version))
    found = twin.next_version(device, epoch=7)
    assert found == following
    Desired(device="hs-1", epoch=found[0], version=found[1], sent_ms=1)


def test_desired_keeps_what_the_deployment_does_not_change():
    device = replace(DEVICE, settled=Settled(package=PACKAGE, split_config=SplitConfig(policy="local")))
    order = SetDesired(
        device="hs-1",
        epoch=7,
        version=3,
        deployment="dep-1",
        package=None,
        split_config=SplitConfig(policy="offload"),
        start_before_ms=9,
    )
    desired = twin.desired_after(device, order, now_ms=2)
    assert (desired.package, desired.split_config.policy) == (PACKAGE, "offload")
    other = replace(order, package=PACKAGE, split_config=None)
    assert twin.desired_after(device, other, now_ms=2).split_config.policy == "local"


def test_a_challenge_is_lost_to_a_voice_and_won_by_silence():
    book = ChallengeBook()
    assert book.open(presence(boot=B), incumbent_boot_id=A)
    assert not book.open(presence(boot=B), incumbent_boot_id=A)
    book.asked(book.unasked()[0], now_ms=0)
    assert book.due(now_ms=ANSWER_WITHIN_MS - 1) == ()
    assert book.answered("hs-1", boot_id=B) == ()
    assert [c.newcomer.boot_id for c in book.answered("hs-1", boot_id=A)] == [B]
    assert len(book) == 0
    book.open(presence(boot=B), incumbent_boot_id=A)
    book.asked(book.unasked()[0], now_ms=0)
    assert [c.newcomer.boot_id for c in book.due(now_ms=ANSWER_WITHIN_MS)] == [B]


def test_silence_counts_only_after_the_known_process_was_asked():
    book = ChallengeBook()
    book.open(presence(boot=B), incumbent_boot_id=A)
    assert book.due(now_ms=10 * ANSWER_WITHIN_MS) == ()
    (waiting,) = book.unasked()
    book.asked(waiting, now_ms=50_000)
    book.asked(waiting, now_ms=90_000)  # the first question counts
    assert book.unasked() == ()
    assert book.due(now_ms=50_000 + ANSWER_WITHIN_MS - 1) == ()
    assert [c.newcomer.boot_id for c in book.due(now_ms=50_000 + ANSWER_WITHIN_MS)] == [B]
    book.asked(waiting, now_ms=0)  # it is closed
    assert len(book) == 0


def test_the_book_of_challenges_is_bounded_and_forgets_who_left():
    book = ChallengeBook()
    for n in range(MAX_OPEN + 5):
        book.open(presence(boot=f"{n:032x}"), incumbent_boot_id=A)
    assert len(book) == MAX_OPEN
    book.withdraw("hs-1", boot_id=f"{0:032x}")
    assert len(book) == MAX_OPEN - 1
    assert not book.hold(reported(boot_id="f" * 32))
