"""Deployments as a pure core: every one ends, counts are exact, what ended stays ended."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_manager.rollout import (
    ENDED,
    Finish,
    Member,
    MemberReported,
    MembersSuperseded,
    SetDesired,
    Tick,
    start,
    step,
)
from schemas.documents import DeploymentSpec, PackageRef, Reported
from schemas.states import TERMINAL, DeploymentOutcome, DeviceOutcome, FailureReason, UpdateState

NOW = 1_000_000
SPEC = DeploymentSpec.model_validate({"target": {"group": "g"}, "model": "hands", "timeout_s": 60})
PACKAGE = PackageRef(digest="0" * 64, manifest_bytes=10, name="hands", version="1", model_digest="1" * 64)


def begin(*devices, admitted=True):
    members = [Member(device=name, admitted=admitted, epoch=7, version=3) for name in devices]
    return start("dep-1", spec=SPEC, package=PACKAGE, members=members, now_ms=NOW)


def said(device="hs-1", state=UpdateState.COMMITTED, **fields):
    values = {
        "device": device,
        "boot_id": "a" * 32,
        "epoch": 7,
        "version": 3,
        "deployment": "dep-1",
        "seq": 1,
        "state": state,
        "sent_ms": 1,
        **fields,
    }
    return MemberReported(reported=Reported(**values), now_ms=NOW + 5)


def test_every_admitted_member_gets_one_desired_document_with_a_lease_until_the_deadline():
    begun = begin("hs-1", "hs-2")
    assert [command.device for command in begun.commands] == ["hs-1", "hs-2"]
    for command in begun.commands:
        assert isinstance(command, SetDesired)
        assert (command.package, command.start_before_ms) == (PACKAGE, NOW + 60_000)


TABLE = [
    (UpdateState.COMMITTED, None, DeviceOutcome.SUCCEEDED, None),
    (UpdateState.FAILED, FailureReason.DIGEST_MISMATCH, DeviceOutcome.FAILED, "digest_mismatch"),
    (UpdateState.FAILED, None, DeviceOutcome.FAILED, "failed"),
    (UpdateState.REJECTED, FailureReason.UNSUPPORTED, DeviceOutcome.FAILED, "unsupported"),
    (UpdateState.EXPIRED, FailureReason.LEASE_EXPIRED, DeviceOutcome.FAILED, "lease_expired"),
    (UpdateState.CANCELLED, None, DeviceOutcome.FAILED, "cancelled"),
    (UpdateState.SUPERSEDED, None, DeviceOutcome.FAILED, "superseded"),
    (UpdateState.ROLLED_BACK, FailureReason.INTERNAL, DeviceOutcome.FAILED, "internal"),
    (UpdateState.ROLLBACK_FAILED, None, DeviceOutcome.FAILED, "rollback_failed"),
]


def test_the_table_has_every_terminal_state():
    assert {row[0] for row in TABLE} == TERMINAL


@pytest.mark.parametrize(("state", "reason", "outcome", "word"), TABLE)
def test_each_terminal_state_ends_a_member_in_one_way(state, reason, outcome, word):
    after = step(begin("hs-1").deployment, said(state=state, reason=reason))
    result = after.deployment.results[0]
    assert (result.outcome, result.reason) == (outcome, word)
    assert result.finished_ms == NOW + 5
    assert [type(command) for command in after.commands] == [Finish]
    assert after.deployment.reason == word


@pytest.mark.parametrize("state", sorted(set(UpdateState) - TERMINAL))
def test_other_states_keep_a_member_in_progress(state):
    result = step(begin("hs-1").deployment, said(state=state)).deployment.results[0]
    assert (result.outcome, result.state) == (DeviceOutcome.IN_PROGRESS, state)


@pytest.mark.parametrize(
    "foreign", [{"deployment": "dep-2"}, {"deployment": None}, {"epoch": 6}, {"version": 2}, {"version": 4}]
)
def test_reports_of_another_deployment_or_version_change_nothing(foreign):
    begun = begin("hs-1").deployment
    assert step(begun, said(**foreign)).deployment == begun


def test_an_empty_group_succeeds_at_once_with_a_warning():
    begun = begin()
    assert begun.deployment.outcome is DeploymentOutcome.SUCCEEDED
    assert begun.deployment.detail.startswith("warning: ")
    assert [type(command) for command in begun.commands] == [Finish]


def test_a_member_that_is_not_admitted_fails_without_a_command():
    begun = begin("hs-1", admitted=False)
    assert (begun.deployment.outcome, begun.deployment.reason) == (DeploymentOutcome.FAILED, "not_admitted")
    assert [type(command) for command in begun.commands] == [Finish]


def test_at_the_deadline_an_offline_member_and_a_silent_one_are_told_apart():
    begun = step(begin("hs-1", "hs-2", "hs-3").deployment, said("hs-1")).deployment
    begun = step(begun, said("hs-2", UpdateState.STAGING)).deployment
    assert step(begun, Tick(now_ms=NOW + 59_999)).deployment == begun
    ended = step(begun, Tick(now_ms=NOW + 60_000, offline=frozenset({"hs-3"}))).deployment
    assert [r.outcome.value for r in ended.results] == ["succeeded", "timed_out", "timed_out"]
    assert [r.reason for r in ended.results] == [None, "timed_out", "offline"]
    assert "last reported staging" in ended.results[1].detail
    assert ended.reason == "offline, timed_out"


def test_the_summary_names_the_most_frequent_reason_first():
    begun = begin("hs-1", "hs-2", "hs-3").deployment
    for device in ("hs-1", "hs-2"):
        begun = step(begun, said(device, UpdateState.FAILED, reason=FailureReason.UNLOADABLE)).deployment
    ended = step(begun, said("hs-3", UpdateState.FAILED, reason=FailureReason.DISK_FULL)).deployment
    assert ended.reason == "unloadable, disk_full"


DEVICES = [f"hs-{n}" for n in range(5)]
events = st.one_of(
    st.builds(
        said,
        st.sampled_from(DEVICES),
        st.sampled_from(UpdateState),
        reason=st.sampled_from([None, *FailureReason]),
        version=st.sampled_from([2, 3, 3, 3]),
    ),
    st.builds(
        MembersSuperseded,
        devices=st.frozensets(st.sampled_from(DEVICES)),
        by=st.just("dep-2"),
        now_ms=st.just(NOW + 7),
    ),
    st.builds(
        Tick,
        now_ms=st.integers(NOW, NOW + 59_999),
        offline=st.frozensets(st.sampled_from(DEVICES)),
    ),
)


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(0, 5),
    admitted=st.booleans(),
    history=st.lists(events, max_size=30),
)
def test_every_deployment_ends_once_and_nothing_that_ended_changes(count, admitted, history):
    begun = begin(*DEVICES[:count], admitted=admitted)
    deployment, finishes = begun.deployment, [c for c in begun.commands if isinstance(c, Finish)]
    for event in [*history, Tick(now_ms=NOW + 60_000), Tick(now_ms=NOW + 90_000)]:
        after = step(deployment, event)
        for old, new in zip(deployment.results, after.deployment.results, strict=True):
            assert old.outcome not in ENDED or old == new
        assert not any(isinstance(command, SetDesired) for command in after.commands)
        finishes += after.commands
        deployment = after.deployment
    assert len(finishes) == 1
    assert all(result.outcome in ENDED and result.finished_ms for result in deployment.results)
    succeeded = sum(result.outcome is DeviceOutcome.SUCCEEDED for result in deployment.results)
    assert (deployment.outcome is DeploymentOutcome.SUCCEEDED) == (succeeded == count)
    assert (deployment.reason is None) == (succeeded == count)
    assert step(deployment, Tick(now_ms=NOW + 99_000)).deployment == replace(deployment)
