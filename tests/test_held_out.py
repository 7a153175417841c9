"""The rules still do at least as well as README and About say of them."""

import json

import held_out

REPORTED = json.loads(held_out.RESULTS.read_text(encoding="utf-8"))


def test_the_rules_are_no_worse_than_when_the_cases_were_opened():
    sets = (held_out.CASES, REPORTED), (held_out.SECOND, REPORTED["second"]), (held_out.THIRD, REPORTED["third"])
    for path, reported in sets:
        for name, rate in held_out.measured(held_out.read_cases(path)).items():
            assert rate["n"] == reported[name]["n"] >= 70
            assert rate["k"] >= reported[name]["k"], (path, name)


def test_no_more_medquad_questions_are_flagged_than_reported(real_medquad):
    found = held_out.flagged(held_out.questions(real_medquad))
    assert found["n"] == REPORTED["third"]["medquad_flagged"]["n"]
    assert found["k"] <= REPORTED["third"]["medquad_flagged"]["k"]


def test_the_held_out_cases_are_other_ones_than_those_that_were_learned_from():
    learned_from = {
        held_out.SECOND: ("safety.jsonl",),
        held_out.THIRD: ("safety.jsonl", "told.jsonl", "held_out.jsonl"),
    }
    for path, names in learned_from.items():
        known = {tuple(held_out.said(case)) for name in names for case in held_out.read_cases(path.with_name(name))}
        assert not known & {tuple(held_out.said(case)) for case in held_out.read_cases(path)}
