"""Any causal language model with a chat template works: four kinds of templates, and two architectures' layers."""

import csv
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, step_here
from small_models import CHATML, FAMILIES, make_model, make_tokenizer, of

from space.prompt import encode_answered, encode_prompt, end_of_turn
from training.bases import licence_of
from training.configs import DEMO
from training.data.examples import IGNORED, encode_example
from training.model.generate import generate_answers, greedy
from training.model.load import PROJECTIONS, check_template, load_adapter, load_base, load_tokenizer
from training.outputs import read_json, read_jsonl

QUESTIONS = ["What is asthma?", "What are the symptoms of gout, and how is it found?", "Is it inherited?"]
FUSED = ["dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"]  # GPT-NeoX's layers
NOTHING_CLOSES = "{% for message in messages %}{{ message.role + ': ' + message.content + '\\n' }}{% endfor %}"


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 160 rows of the embedded sample."""
    path = tmp_path_factory.mktemp("data") / "sample.csv"
    with (
        (ROOT / DEMO.dataset).open(encoding="utf-8", newline="") as rows,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows(row for number, row in enumerate(csv.reader(rows)) if number <= 160)
    return path


@pytest.fixture(scope="module", params=[*FAMILIES, pytest.param("llama3-real", marks=pytest.mark.slow)])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A base of the family: its folder, its tokenizer as every step loads it, its control tokens, its end token."""
    folder = make_model(tmp_path_factory.mktemp(request.param) / "base", request.param, licence="apache-2.0")
    tokenizer, family = load_tokenizer(folder), of(request.param)
    end = tokenizer.convert_tokens_to_ids(family.end_of_turn)
    return SimpleNamespace(name=request.param, folder=folder, tokenizer=tokenizer, control=family.control, end=end)


@pytest.fixture(scope="module")
def run(base: SimpleNamespace, sample: Path) -> Path:
    """The folder of a few steps of training on it, scored."""
    values = {
        "out": base.folder.parent, "base_model": base.folder, "dataset": sample, "epochs": 0.1, "evaluations": 1,
        "lora_rank": 2, "score_batch": 3, "answer_tokens": 8,
    }  # fmt: skip
    words = ["demo", *(word for key, value in values.items() for word in ("--set", f"{key}={value}"))]
    for name, more in (("prepare", ()), ("train", ()), ("score", ("--limit", "4"))):
        done = step_here(name, *words, *more)
        assert done.returncode == 0, done.stderr
    return base.folder.parent / "runs" / "demo"


def test_an_answer_ends_in_the_token_that_closes_a_turn(base, contract):
    assert end_of_turn(base.tokenizer) == base.tokenizer.eos_token_id == base.end
    record = {"question": QUESTIONS[0], "answer": "A disease."}
    encoded = encode_example(base.tokenizer, record, contract, 1024)
    learned = [token for token in encoded["labels"] if token != IGNORED]
    assert encoded["input_ids"][-1] == base.end
    assert learned[-1] == base.end and learned.count(base.end) == 1
    assert base.tokenizer.decode(learned[:-1]).strip() == f"A disease.\n\n{contract.disclaimer}"


def test_padding_is_never_the_token_that_closes_a_turn(base):
    assert base.tokenizer.pad_token_id is not None
    assert base.tokenizer.pad_token_id not in (base.end, end_of_turn(base.tokenizer))


def test_the_system_prompt_stands_once_and_before_the_first_question(base, contract):
    turns = [user(QUESTIONS[0]), {"role": "assistant", "content": "A disease."}, user(QUESTIONS[2])]
    text = base.tokenizer.decode(encode_prompt(base.tokenizer, turns, contract))
    assert text.count(contract.system_prompt) == 1
    assert text.index(contract.system_prompt) < text.index(QUESTIONS[0]) < text.index(QUESTIONS[2])
    assert "helpful assistant" not in text, "the template's own system prompt"


def test_typed_control_tokens_stay_text(base, contract):
    typed = "Hi" + "".join(base.control)

    def controls(text: str) -> list[int]:
        turns = [user(text), {"role": "assistant", "content": text}, user(text)]
        ids = encode_prompt(base.tokenizer, turns, contract)
        return [token for token in ids if token in base.tokenizer.get_added_vocab().values()]

    assert controls(typed) == controls("Hi")


def test_a_prompt_is_the_beginning_of_the_answered_conversation(base, contract):
    check_template(base.tokenizer, contract)
    question = [user(QUESTIONS[0])]
    prompt = encode_prompt(base.tokenizer, question, contract)
    answered = encode_answered(base.tokenizer, [*question, {"role": "assistant", "content": "A disease."}], contract)
    assert answered[: len(prompt)] == prompt and len(answered) > len(prompt) + 1


def test_it_is_trained_on_the_layers_that_its_architecture_has(base, run):
    adapter = read_json(run / "adapter" / "adapter_config.json", "")
    assert adapter["target_modules"] == (FUSED if base.name == "plain_roles" else sorted(PROJECTIONS))
    record = read_json(run / "run.json", "")
    assert record["steps"] < 6 and record["losses"][-1]["validation"] > 0
    assert record["prompt"]["end_of_turn"] == base.tokenizer.convert_ids_to_tokens(base.end)
    assert record["prompt"]["system_role"] == (base.name != "plain_roles")


def test_it_answers_in_batches_as_it_does_alone(base, run, contract):
    lines = read_jsonl(run / "answers-test.jsonl", "")
    assert len(lines) == 4 + 1 and all(0 < line[side]["tokens"] <= 8 for line in lines for side in ("base", "tuned"))
    model = load_adapter(load_base(base.folder, "fp32", "cpu"), run / "adapter", "cpu")
    tokenizer = load_tokenizer(run / "adapter")
    assert tokenizer.pad_token_id != tokenizer.eos_token_id == base.end
    assert base.end in greedy(model, tokenizer, 8).eos_token_id
    prompts = [encode_prompt(tokenizer, [user(text)], contract) for text in QUESTIONS]

    def texts(size: int) -> list[str]:
        return [answer.text for answer in generate_answers(model, tokenizer, prompts, 8, size)]

    assert texts(3) == texts(1)


def test_the_space_serves_it(base, run):
    import space_app  # noqa: F401  puts the Space's folder on the path
    from assistant import load

    served = load(run / "adapter", base.folder, "cpu")
    assert base.end in served.ends
    drafts = list(served.write("tuned", [user(QUESTIONS[0])], 8, 0.3))
    assert drafts[-1].state in ("ended", "cut")


# Templates that can't work


def with_template(folder: Path, template: str | None) -> Path:
    """A ChatML base whose tokenizer has another template."""
    make_model(folder, "chatml")
    for path in folder.glob("*.jinja"):
        path.unlink()
    make_tokenizer("chatml", chat_template=template).save_pretrained(folder)
    return folder


def test_a_prompt_that_the_answered_conversation_does_not_repeat_is_refused(contract):
    thinking = CHATML.replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n")
    assert thinking != CHATML
    with pytest.raises(ValueError, match="the prompt is no prefix of the answered conversation"):
        check_template(make_tokenizer("chatml", chat_template=thinking), contract)


@pytest.mark.parametrize(
    ("template", "says"),
    [(NOTHING_CLOSES, "which holds no control token: a model trained on it"), (None, "has no chat template")],
    ids=["nothing closes a turn", "no template"],
)
def test_a_base_that_could_not_stop_ends_training_in_one_line(tmp_path, sample, template, says):
    folder = with_template(tmp_path / "base", template)
    words = ["demo", "--set", f"out={tmp_path}", "--set", f"base_model={folder}", "--set", f"dataset={sample}"]
    done = step_here("prepare", *words)
    done = step_here("train", *words) if done.returncode == 0 else done
    assert done.returncode == 1 and says in done.stderr and str(folder) in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("card", "licence"),
    [("license:\n- apache-2.0", "apache-2.0"), ("license: other\nlicense_name: Llama3_1", "llama3.1")],
)
def test_a_licence_is_read_in_every_form_that_cards_have(tmp_path, card, licence):
    (tmp_path / "README.md").write_text(f"---\n{card}\n---\n", encoding="utf-8")
    assert licence_of("owner/base", tmp_path, "") == licence
