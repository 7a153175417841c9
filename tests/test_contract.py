import re

import pytest

from space.contract import load_contract
from space.prompt import with_disclaimer
from training.configs import CONTRACT


def test_the_contract_holds_the_disclaimer_as_first_reported(contract):
    assert contract.disclaimer == "Disclaimer: Consult a healthcare professional for medical advice"


def test_whoever_does_as_the_file_tells_adds_the_disclaimer_as_we_do(contract):
    lines = re.search(r"(?:^#     .*\n)+", CONTRACT.read_text(encoding="utf-8"), re.MULTILINE)[0]
    for answer in ("Drink water.", with_disclaimer("Drink water.", contract)):
        names = {"answer": answer, "disclaimer": contract.disclaimer}
        exec(re.sub(r"^# {5}", "", lines, flags=re.MULTILINE), names)
        assert names["answer"] == with_disclaimer("Drink water.", contract)


def test_the_checksum_is_that_of_the_bytes(contract, tmp_path):
    copy = tmp_path / "contract.toml"
    copy.write_bytes(CONTRACT.read_bytes() + b"\n# a comment\n")
    assert load_contract(copy).sha256 != contract.sha256
    assert load_contract(copy).system_prompt == contract.system_prompt


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("version = 1", "version = 2"), "has contract version 2, this code reads 1"),
        (("date_string", "date_text"), "lacks 'date_string': correct"),
        (("top_p", "top_k"), "lacks 'top_p'"),
        (("[limits]", "[limit]"), "lacks 'limits': correct the file"),
        (("max_turns = 8", ""), "lacks 'max_turns'"),
        (("max_turns = 8", "max_turns = 8\nmost = 9"), "unexpected keyword argument 'most': correct"),
        (("version = 1", "version = "), "is not a TOML file"),
        (('date_string = "26 Jul 2024"', "date_string = 2024-07-26"), "date_string = .*2024.* not of type str: corr"),
        (("disclaimer = ", "disclaimer = 7 #"), "disclaimer = 7, which is not of type str"),
        (
            ("max_question_chars = 2000", "max_question_chars = true"),
            "max_question_chars = True, which is not of type int",
        ),
        (("max_new_tokens = 512", "max_new_tokens = false"), "max_new_tokens = False"),
        (("temperature = 0.3", 'temperature = "hot"'), "temperature = 'hot', which is not of type float"),
        (('name = "one question"', "name = 1"), "name = 1, which is not of type str"),
    ],
)
def test_a_broken_contract_is_one_line_that_names_the_file(tmp_path, change, says):
    path = tmp_path / "contract.toml"
    text = CONTRACT.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=says) as error:
        load_contract(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_whole_numbers_will_do_where_others_are_asked_for(tmp_path):
    path = tmp_path / "contract.toml"
    text = CONTRACT.read_text(encoding="utf-8").replace("temperature = 0.3", "temperature = 1")
    path.write_text(text, encoding="utf-8")
    assert load_contract(path).decoding.temperature == 1


def test_a_missing_contract_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.toml is missing"):
        load_contract(tmp_path / "absent.toml")
