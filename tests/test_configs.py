import pytest

from training.configs import BASE, CONFIGS, STUDY, is_local, override


def test_the_names_that_others_rely_on_exist():
    assert set(CONFIGS) == {"r16", "r8", "r32", "demo", "medquad-smollm2", "as-reported"}
    assert CONFIGS["as-reported"].split == "random"
    assert {CONFIGS["r16"].out, CONFIGS["demo"].out} == {"outputs/medquad", "outputs/demo"}


def test_the_base_configuration_is_the_first_users_best():
    assert (BASE.learning_rate, BASE.lora_rank, BASE.lora_alpha, BASE.epochs, BASE.max_tokens) == (
        1e-4,
        16,
        32,
        3,
        1024,
    )
    assert BASE.batch_size * BASE.accumulation == 16


def test_the_study_holds_the_first_users_three():
    assert [(c.learning_rate, c.lora_rank, c.lora_alpha) for c in STUDY] == [
        (1e-4, 16, 32),
        (2e-4, 8, 16),
        (5e-5, 32, 64),
    ]


def test_settings_are_read_as_the_types_of_their_fields():
    config = override(BASE, ["epochs=2", "lora_rank=8", "name=mine"])
    assert (config.epochs, config.lora_rank, config.name) == (2.0, 8, "mine")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("lora_rnk=8", "expected key=value with a key of"),
        ("lora_rank", "expected key=value"),
        ("lora_rank=many", "lora_rank is int, not 'many'"),
        ("split=sorted", "split='sorted': it must be grouped or random"),
        ("epochs=0", "must be above 0"),
        ("epochs=nan", "must be above 0"),
        ("lora_dropout=1", "below 1"),
        ("name=../elsewhere", "it must be the name of a folder"),
        ("name=", "name='': it must be the name of a folder"),
    ],
)
def test_a_bad_setting_is_an_error_that_names_it(setting, says):
    with pytest.raises(ValueError, match=says):
        override(BASE, [setting])


@pytest.mark.parametrize("hub_id", ["keivalya/MedQuad-MedicalQnADataset", "lavita/MedQuAD", "owner/name-1.5", "a/v.2"])
def test_a_hub_id_is_no_path(hub_id):
    assert not is_local(hub_id)


@pytest.mark.parametrize(
    "path",
    ["./data.csv", "/data/x", "~/data", "outputs/demo/base", "data.csv", "data/typo.csv", "data/Typo.CSV",
     "my/x.parquet", "my/x.tsv", "a/b/c", "../x", "folder"],
)  # fmt: skip
def test_a_path_is_no_hub_id_whether_it_is_there_or_not(path):
    assert is_local(path)


def test_a_folder_that_is_there_wins_over_a_hub_id_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_local("owner/name")
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert is_local("owner/name")


def test_a_path_outside_the_project_is_not_shown():
    config = override(BASE, ["base_model=/home/someone/secret/base", "out=/tmp/run"])
    assert config.public()["base_model"] == "base"
    assert config.public()["out"] == "run"
