"""The card and the bundle: complete, valid, runnable, and nothing in them that must not be published."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import yaml
from conftest import SHARED, settings, step_here
from huggingface_hub import ModelCard
from test_facts import LINES, TRAIN

from model_card.build import AUDIT, card_text
from space.licences import LLAMAS
from training.bases import Base
from training.configs import BASE, DEMO
from training.datasets import MEDQUAD_CREDIT
from training.outputs import read_json, write_json
from training.release.bundle import PICKLES, check_bundle, chosen_by_study, data_notice, licence_files
from training.scoring.facts import score_facts
from training.scoring.table import audit_blocks


@pytest.fixture(scope="module")
def bundle(small_out):
    return small_out / "runs" / "demo" / "bundle"


@pytest.fixture(scope="module")
def card(bundle) -> ModelCard:
    return ModelCard.load(bundle / "README.md")


def test_the_bundle_holds_exactly_what_is_pushed(bundle):
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert names == {
        "LICENSE",
        "NOTICE",
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "bom.json",
        "chat_template.jinja",
        "contract.toml",
        "evaluation/data.json",
        "evaluation/scores-test.json",
        "evaluation/lengths.svg",
        "evaluation/loss.svg",
        "evaluation/scores.svg",
        "golden.json",
        "run.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_nothing_in_the_bundle_is_a_pickle_a_local_path_or_a_gap(bundle, small_out):
    for path in check_bundle(bundle):
        assert path.suffix not in PICKLES
        if path.suffix != ".safetensors":
            text = path.read_text(encoding="utf-8")
            assert str(small_out) not in text, path
            assert "[More Information Needed]" not in text
            assert not re.search(r'"/(home|root|tmp|Users)/', text), path


@pytest.mark.parametrize("name", ["training_args.bin", "notes.md"])
def test_what_must_not_be_published_is_an_error_that_names_the_file(bundle, tmp_path, name):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    (copy / name).write_text("[More Information Needed]", encoding="utf-8")
    with pytest.raises(ValueError, match=name):
        check_bundle(copy)


def test_the_card_has_valid_metadata(card, bundle):
    meta = card.data
    scores = read_json(bundle / "evaluation" / "scores-test.json", "")
    assert (meta.license, meta.library_name, meta.pipeline_tag) == ("apache-2.0", "peft", "text-generation")
    assert meta.to_dict()["base_model_relation"] == "adapter"
    assert {"lora", "medical"} <= set(meta.tags)
    reported = {result.metric_name: result.metric_value for result in meta.eval_results}
    assert len(reported) == 6
    tuned = scores["systems"]["tuned"]["without disclaimer"]["rougeL"]["mean"]
    assert reported["ROUGE-L F1, without disclaimer"] == round(100 * tuned, 2)


def test_the_first_screen_says_what_it_is_not(card):
    first = "\n".join(card.content.split("---", 2)[2].splitlines()[:12])
    assert "Not medical advice" in first and "often wrong" in first


def test_every_score_in_the_card_stands_in_the_json(card, bundle):
    scores = read_json(bundle / "evaluation" / "scores-test.json", "")
    for name, system in scores["systems"].items():
        row = next(line for line in card.text.splitlines() if re.match(rf"\| (no model: )?{re.escape(name)} +\|", line))
        for kind in ("rouge1", "rouge2", "rougeL"):
            assert f"{100 * system['without disclaimer'][kind]['mean']:.1f}" in row
    assert f"over {scores['n']:,} of {scores['of']:,} test questions" in card.text
    assert card.text.count("![") == 3, "pictures with alt text"


def unpadded(text: str) -> str:
    """The text with tables as if no cell were filled up with spaces."""
    return re.sub(" {2,}", " ", text)


def with_facts(bundle, folder, facts: dict) -> str:
    """The card of a copy of the bundle whose scores hold these facts, with unpadded tables."""
    copy = shutil.copytree(bundle, folder / "facts")
    scores = read_json(copy / "evaluation" / "scores-test.json", "")
    write_json(copy / "evaluation" / "scores-test.json", scores | {"facts": facts | {"left out": 2}})
    text = unpadded(card_text(copy, "owner/name"))
    shutil.rmtree(copy)
    return text


def test_the_card_says_which_facts_are_right_and_how_well_facts_are_found(bundle, tmp_path):
    facts, _ = score_facts(LINES, TRAIN, seed=0)
    text = with_facts(bundle, tmp_path, facts)
    assert text.split("## Scores")[1].split("\n")[2].endswith(facts["sentence"])
    assert "| right / wrong / several / none, share right | gene, n = 4 | frequency, n = 1 | all, n = 5 |" in text
    assert "| base | 1 / 0 / 1 / 2, 25% [5%, 70%] |" in text
    assert "| no model: majority of the training answers | 2 / 2 / 0 / 0, 50% [15%, 85%] |" in text
    assert "8 questions ask for a gene, an inheritance pattern or a frequency (2 more were not asked); 5 are" in text
    assert "precision gene 51 of 59, inheritance pattern 43 of 43, frequency 20 of 24; recall gene 51 of 51" in text
    assert "The facts of the other references: none (1), several (1), in the question (1)." in text
    few = facts | {"all": facts["all"] | {"compared": 4}}
    assert "| right / wrong" not in with_facts(bundle, tmp_path, few), "a table of four facts would be noise"


def test_the_card_says_what_the_metrics_are_worth_and_that_nobody_judged_the_answers(bundle, tmp_path):
    text = card_text(bundle, "owner/name")
    assert all(block in text for block in audit_blocks(read_json(AUDIT, "")))
    assert "No clinician has judged the answers." in text and "Read by a person" not in text
    copy = shutil.copytree(bundle, tmp_path / "judged")
    scores = read_json(copy / "evaluation" / "scores-test.json", "")
    rates = {"right": {"k": 1, "n": 4, "share": 0.25, "low": 0.05, "high": 0.7}}
    write_json(copy / "evaluation" / "scores-test.json", scores | {"marks": {"base": rates, "tuned": rates}})
    text = unpadded(card_text(copy, "owner/name"))
    assert "| tuned | 25% [5%, 70%] (1/4) |" in text and "No clinician" not in text


def test_the_card_is_silent_about_facts_where_no_question_asks_for_one(bundle, tmp_path):
    facts, _ = score_facts([line for line in LINES if line["qtype"] == "causes"], TRAIN, seed=0)
    assert "inheritance pattern" not in with_facts(bundle, tmp_path, facts)


def test_a_variable_that_no_file_holds_is_an_error(bundle, tmp_path):
    from jinja2 import UndefinedError

    copy = shutil.copytree(bundle, tmp_path / "bundle")
    run = read_json(copy / "run.json", "")
    del run["steps"]
    write_json(copy / "run.json", run)
    with pytest.raises(UndefinedError, match="steps"):
        card_text(copy, "owner/name")


def test_the_snippet_runs_as_it_stands_and_reproduces_the_golden_prompt(card, bundle, small_out, tmp_path):
    shutil.copytree(bundle, tmp_path / "bundle")
    shutil.copytree(small_out / "base", tmp_path / "base")
    snippet = re.search(r"```python\n(.*?)```", card.text, re.DOTALL)[1]
    snippet += '\nprint("IDS", prompt["input_ids"][0].tolist())\n'
    result = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    golden = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))
    assert result.stdout.rsplit("IDS ", 1)[1].strip() == str(golden[0]["token_ids"])


def test_the_card_of_a_llama_release_is_licence_correct(bundle, tmp_path):
    """The same files, as if they came from the real base: the card must carry Meta's terms."""
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    run = read_json(copy / "run.json", "")
    run["base"] |= {"model": BASE.base_model, "revision": "0" * 40, "licence": "llama3.2"}
    write_json(copy / "run.json", run)
    data = read_json(copy / "evaluation" / "data.json", "")
    data["source"] |= asdict(MEDQUAD_CREDIT)
    write_json(copy / "evaluation" / "data.json", data)
    text = card_text(copy, "owner/Llama-3.2-1B-MedQuAD-LoRA", revision="v1.0.0")
    meta = yaml.safe_load(text.split("---")[1])
    assert meta["license"] == "llama3.2"
    assert meta["base_model"] == BASE.base_model
    assert f"base_model:adapter:{BASE.base_model}" in meta["tags"]
    assert meta["model-index"][0]["name"] == "Llama-3.2-1B-MedQuAD-LoRA"
    assert "**Built with Llama.**" in text.split("## Scores")[0]
    assert LLAMAS["llama3.2"].notice in text
    assert "Ben Abacha" in text
    assert text.count('revision="v1.0.0"') == 2


def test_the_licence_texts_are_accepted_only_as_meta_publishes_them(tmp_path):
    folder = SHARED / "llama3.2-licence"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    base = Base("owner/base", "0" * 40, None, "llama3.2", {})
    files = licence_files(base, "Trained on something.", folder)
    assert set(files) == {"LICENSE", "USE_POLICY.md", "NOTICE"}
    assert files["NOTICE"].decode().startswith(LLAMAS["llama3.2"].notice)
    assert files["NOTICE"].decode().endswith("\n\nTrained on something.\n")
    for name in ("LICENSE.txt", "USE_POLICY.md"):
        shutil.copyfile(folder / name, tmp_path / name)
    (tmp_path / "USE_POLICY.md").write_text("anything", encoding="utf-8")
    with pytest.raises(ValueError, match=r"is not Meta's USE_POLICY\.md"):
        licence_files(base, "", tmp_path)
    (tmp_path / "LICENSE.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"LICENSE of Llama 3\.2 is missing in .*: download it from"):
        licence_files(base, "", tmp_path)


def test_a_licence_that_asks_for_its_text_is_refused_without_it(tmp_path):
    base = Base("owner/base", "0" * 40, tmp_path, "mit", {})
    with pytest.raises(FileNotFoundError, match=r"owner/base \(mit\) asks for its text.*--licence-texts DIR"):
        licence_files(base, "", None)
    (tmp_path / "LICENSE").write_text("MIT", encoding="utf-8")
    assert licence_files(base, "Trained on something.", None) == {
        "LICENSE": b"MIT",
        "NOTICE": b"Trained on something.\n",
    }


def test_a_missing_step_is_named(tmp_path):
    result = step_here("bundle", "demo", *settings(tmp_path))
    assert result.returncode == 1
    assert "`python -m training score demo` writes it, run that first" in result.stderr


def test_a_study_is_in_the_bundle_only_of_the_run_that_it_chose(small_out, tmp_path):
    shutil.copytree(small_out, tmp_path / "out")
    config = replace(DEMO, out=str(tmp_path / "out"))
    adapter = read_json(config.run_dir / "run.json", "")["adapter_sha256"]
    study = tmp_path / "out" / "study.json"
    assert not chosen_by_study(config, adapter)  # there is no study
    for winner, name, checksum, expected in (
        ("demo", "demo", adapter, True),
        ("demo-r8", "demo", adapter, False),
        ("demo", "demo", "of an earlier training", False),
    ):
        rows = [{"name": name, "adapter_sha256": checksum}, {"name": "demo-r8", "adapter_sha256": "another"}]
        write_json(study, {"winner": winner, "rows": rows})
        assert chosen_by_study(config, adapter) == expected


def changed_data(bundle, folder, **changes) -> str:
    """The card of a copy of the bundle whose data.json says something else."""
    copy = shutil.copytree(bundle, folder / "changed")
    data = read_json(copy / "evaluation" / "data.json", "")
    write_json(copy / "evaluation" / "data.json", data | changes)
    text = card_text(copy, "owner/name")
    shutil.rmtree(copy)
    return text


def test_the_card_credits_the_data_as_data_json_does_and_nothing_else(bundle, tmp_path, card):
    assert "Data: the sample of this project, apache-2.0. Written for this project." in card.content
    source = {"name": "mine.csv", "revision": "0" * 64, "title": "Mine", "licence": "cc-by-sa-4.0", "citation": "Me."}
    text = changed_data(bundle, tmp_path, source=source)
    assert "Data: Mine, [CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/). Me." in text
    assert "question-answer pairs of Mine" in text
    assert yaml.safe_load(text.split("---")[1])["model-index"][0]["results"][0]["dataset"]["name"] == "Mine"
    for words in ("MedQuAD", "Ben Abacha", "ritten for this project", "United States"):
        assert words not in text.split("## Load it")[0] + text.split("## Data")[1]
    unknown = changed_data(bundle, tmp_path, source={"name": "mine.csv", "revision": "0" * 64})
    assert "Data: `mine.csv`, licence not recorded." in unknown


def test_the_card_claims_of_the_split_what_data_json_does(bundle, tmp_path, card):
    claim = "no disease of which stands in train"
    assert f"(grouped split, {claim})" in card.content
    assert "The subject is known of 100.0% of the questions, by question templates." in card.content
    other = {"by": "question templates", "known": 0.25, "established": False, "claim": "it is not established"}
    text = changed_data(bundle, tmp_path, subjects=other)
    assert claim not in text
    assert text.count("it is not established") == 2
    assert "known of 25.0% of the questions" in text


def test_the_card_warns_of_texts_that_rouge_cannot_read_and_does_not_call_them_english(bundle, tmp_path, card):
    assert card.data.language == "en"
    text = changed_data(bundle, tmp_path, warnings=["ROUGE finds no words."])
    assert "**ROUGE finds no words.**" in text.split("## Load it")[0]
    assert "language" not in yaml.safe_load(text.split("---")[1])


def test_the_notice_names_the_data_its_licence_and_what_was_changed(bundle):
    notice = data_notice(
        {"name": "a.csv", "revision": "0", "title": "A", "licence": "cc-by-4.0", "citation": "B, 2020"}
    )
    assert notice.startswith("Trained on A, CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). B, 2020\nWhite ")
    written = (bundle / "NOTICE").read_text(encoding="utf-8")
    assert "Trained on the sample of this project, apache-2.0. Written for this project." in written
    assert "MedQuAD" not in written
