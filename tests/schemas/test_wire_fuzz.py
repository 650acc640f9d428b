"""A short run of the fuzzer that ``make fuzz`` runs long."""

import json

import pytest
from typer.testing import CliRunner

from bench import fuzz
from bench.good import good_messages
from bench.mutants import KINDS, Anatomy, Mutator
from schemas.codec import Encoder


def test_two_thousand_mutants_end_in_messages_or_reasons_and_no_reason_is_missing():
    report = fuzz.run(2000, seed=5)
    assert report.crashes == []
    assert report.over_bound == 0
    assert report.reasons_missing == []
    assert report.accepted + report.refused == report.mutants


@pytest.mark.parametrize("seed", [1, 5])
def test_a_quarter_is_structure_aware_and_half_are_really_resealed(seed):
    report = fuzz.run(2000, seed=seed)
    assert report.messages == 2000
    assert report.structural == 500
    assert report.resealed >= 1000
    assert report.redrawn > 0


def test_mutants_of_every_family_are_resealed_and_their_checksum_holds():
    resealed = [mutant for mutant in fuzz.messages(4000, seed=3) if mutant.resealed]
    assert {"cut", "grown", "spliced", "zeroed", "flipped", *KINDS} == {each.family for each in resealed}
    failed = [mutant for mutant in resealed if fuzz.codec_judge(mutant) == "bad_checksum"]
    assert len(failed) < len(resealed) / 200


def test_a_message_without_a_checksum_is_refused_as_a_seed(monkeypatch):
    monkeypatch.setattr("bench.mutants.anatomy_of", lambda _: Anatomy())
    with pytest.raises(ValueError, match="leave it out"):
        Mutator([b"any"], seed=1)


def test_every_kind_of_site_is_broken():
    report = fuzz.run(2000, seed=6)
    assert all(report.families[kind] >= 5 for kind in KINDS)


def test_the_same_seed_draws_the_same_mutants():
    messages = [Encoder().encode(message) for message in good_messages()]
    first, second = (list(Mutator(messages, seed=9).mutants(50)) for _ in range(2))
    assert first == second


def test_a_crash_is_a_finding_and_not_an_end():
    def fragile(_mutant):
        raise IndexError("past the end")

    report = fuzz.run(40, seed=1, judge=fragile)
    assert len(report.crashes) == 40
    assert not report.passed


def test_the_command_prints_its_report_as_json():
    app = fuzz.typer.Typer()
    app.command()(fuzz.main)
    done = CliRunner().invoke(app, ["--mutants", "2000", "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["crashes"] == []
