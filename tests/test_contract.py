import pytest

from space.contract import load_contract
from training.configs import CONTRACT


def test_the_contract_holds_the_disclaimer_as_first_reported(contract):
    assert contract.disclaimer == "Disclaimer: Consult a healthcare professional for medical advice"


def test_the_checksum_is_that_of_the_bytes(contract, tmp_path):
    copy = tmp_path / "contract.toml"
    copy.write_bytes(CONTRACT.read_bytes() + b"\n# a comment\n")
    assert load_contract(copy).sha256 != contract.sha256
    assert load_contract(copy).system_prompt == contract.system_prompt


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("version = 1", "version = 2"), "has contract version 2, this code reads 1"),
        (("date_string", "date_text"), "has a missing or unknown field: 'date_string'"),
        (("top_p", "top_k"), "has a missing or unknown field: .*top_k"),
        (("version = 1", "version = "), "is not a TOML file"),
    ],
)
def test_a_broken_contract_is_an_error_that_names_the_file(tmp_path, change, says):
    path = tmp_path / "contract.toml"
    path.write_text(CONTRACT.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(ValueError, match=says) as error:
        load_contract(path)
    assert str(path) in str(error.value)


def test_a_missing_contract_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.toml is missing"):
        load_contract(tmp_path / "absent.toml")
