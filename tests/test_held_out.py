"""What README and About say of the rules is what the rules do on cases that their writer had not seen."""

import json

import held_out


def test_the_reported_rates_are_those_of_the_rules_as_they_are():
    reported = json.loads(held_out.RESULTS.read_text(encoding="utf-8"))
    found = held_out.measured(held_out.read_cases())
    assert {name: reported[name] for name in found} == found, "run `python tests/held_out.py MEDQUAD.csv`"


def test_the_reported_share_of_flagged_medquad_questions_is_what_it_is(real_medquad):
    reported = json.loads(held_out.RESULTS.read_text(encoding="utf-8"))
    assert reported["medquad_flagged"] == held_out.flagged(held_out.questions(real_medquad))


def test_the_held_out_cases_are_other_ones_than_the_rules_own():
    own = held_out.CASES.with_name("safety.jsonl").read_text(encoding="utf-8").splitlines()
    known = {tuple(held_out.said(json.loads(line))) for line in own}
    cases = held_out.read_cases()
    assert not known & {tuple(held_out.said(case)) for case in cases}
    assert min(sum(bool(case["kind"]) == must for case in cases) for must in (True, False)) >= 150
