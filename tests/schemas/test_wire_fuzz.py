"""A short run of the fuzzer that ``make fuzz`` runs long."""

import json

from typer.testing import CliRunner

from bench import fuzz
from bench.good import good_messages
from bench.mutants import KINDS, Mutator
from schemas.codec import Encoder


def test_two_thousand_mutants_end_in_messages_or_reasons_and_no_reason_is_missing():
    report = fuzz.run(2000, seed=5)
    assert report.crashes == []
    assert report.over_bound == 0
    assert report.reasons_missing == []
    assert report.accepted + report.refused == report.mutants
    assert report.structural >= 500
    assert report.resealed >= 700


def test_every_kind_of_site_is_broken_and_shapes_as_a_whole():
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
