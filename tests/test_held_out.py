"""The rules still do at least as well as README and About say of them."""

import json

import held_out

REPORTED = json.loads(held_out.RESULTS.read_text(encoding="utf-8"))


def test_the_rules_are_no_worse_than_when_the_cases_were_opened():
    for path, reported in ((held_out.CASES, REPORTED), (held_out.SECOND, REPORTED["second"])):
        for name, rate in held_out.measured(held_out.read_cases(path)).items():
            assert rate["n"] == reported[name]["n"] >= 70
            assert rate["k"] >= reported[name]["k"], (path, name)


def test_no_more_medquad_questions_are_flagged_than_reported(real_medquad):
    found = held_out.flagged(held_out.questions(real_medquad))
    assert found["n"] == REPORTED["medquad_flagged"]["n"]
    assert found["k"] <= REPORTED["medquad_flagged"]["k"]


def test_the_held_out_cases_are_other_ones_than_the_rules_own():
    own = held_out.CASES.with_name("safety.jsonl").read_text(encoding="utf-8").splitlines()
    known = {tuple(held_out.said(json.loads(line))) for line in own}
    for path in (held_out.CASES, held_out.SECOND):
        assert not known & {tuple(held_out.said(case)) for case in held_out.read_cases(path)}
