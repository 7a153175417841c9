"""Every loader gets the trained prompt: from the template alone, merged, as GGUF, in Ollama, behind vLLM."""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, script_here
from gguf import GGUFWriter
from hub import LocalHub
from hub.releasing import ACCEPT, client_of, folder_contents, last_line, private_key, publish_here, releasable, titles
from jinja2.sandbox import ImmutableSandboxedEnvironment
from peft import LoraConfig, PeftModel, get_peft_model
from small_models import FAMILIES, make_model, make_tokenizer, real_tokenizer
from transformers import AutoTokenizer

from space.prompt import encode_prompt
from training.configs import CONTRACT, EMBEDDED
from training.extras.export import finish, read_bundle
from training.model.load import load_base, load_tokenizer, lora_targets
from training.outputs import read_json, write_json
from training.release import signing
from training.release.bundle import control_tokens, lean, make_portable, portable_config

LLAMA_CPP = Path(os.environ.get("LLAMA_CPP", ROOT / "outputs" / "llama.cpp"))
OWN = {"role": "system", "content": "Answer in one word."}


def bundle_of(base: Path, folder: Path, seed: int = 0, tokens: int = 24) -> Path:
    """A bundle as far as exports read it: a random adapter of a base, answers of at most `tokens`."""
    model = load_base(base, "fp32", "cpu")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=lora_targets(model)))
        for name, weights in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.02)
    adapted.save_pretrained(folder)
    load_tokenizer(base).save_pretrained(folder)
    text = CONTRACT.read_text(encoding="utf-8").replace("max_new_tokens = 512", f"max_new_tokens = {tokens}")
    (folder / "contract.toml").write_text(text, encoding="utf-8")
    golden = make_portable(folder)
    (folder / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    config = read_json(folder / "adapter_config.json", "")
    write_json(folder / "adapter_config.json", config | {"base_model_name_or_path": str(base)})
    write_json(folder / "run.json", {"base": {"model": "owner/base", "revision": "0" * 40, "licence": "llama3.2"}})
    for name in ("LICENSE", "USE_POLICY.md", "NOTICE"):
        (folder / name).write_text(f"The {name} of the base.\n", encoding="utf-8")
    card = "---\nmodel-index:\n- name: Llama-small-LoRA\n  results: []\n---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A small Llama with the real tokenizer, and a bundle made from it."""
    folder = tmp_path_factory.mktemp("llama")
    base = make_model(folder / "base", "llama3-real", hidden=64)
    return SimpleNamespace(base=base, bundle=bundle_of(base, folder / "bundle"))


@pytest.fixture(scope="module", params=[*FAMILIES, "llama3-real"])
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A family's tokenizer as it is trained with, and the folder that ships it."""
    folder = tmp_path_factory.mktemp(request.param)
    made = real_tokenizer() if request.param == "llama3-real" else make_tokenizer(request.param)
    made.save_pretrained(folder / "base")
    trained = load_tokenizer(folder / "base")
    trained.save_pretrained(folder)
    shutil.copyfile(CONTRACT, folder / "contract.toml")
    golden = json.loads(json.dumps(make_portable(folder)))
    return SimpleNamespace(trained=trained, folder=folder, golden=golden)


def plain_jinja(folder: Path, messages: list[dict[str, str]], **given: str) -> str:
    """The shipped template as servers render it, which know nothing but its text and the special tokens."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    config = read_json(folder / "tokenizer_config.json", "")
    special = {name: config.get(name) or "" for name in ("bos_token", "eos_token")}
    template = environment.from_string((folder / "chat_template.jinja").read_text(encoding="utf-8"))
    return template.render(messages=messages, add_generation_prompt=True, **special, **given)


# The bundle itself


def test_the_shipped_template_alone_gives_the_trained_prompt(shipped, contract):
    tokenizer = AutoTokenizer.from_pretrained(shipped.folder)
    for case in shipped.golden[:2]:  # the third has control tokens, which only `sanitize_control_tokens` keeps as text
        assert case["token_ids"] == encode_prompt(shipped.trained, case["messages"], contract)
        given = tokenizer.apply_chat_template(case["messages"], add_generation_prompt=True, return_dict=False)
        assert given == case["token_ids"], case["name"]
        text = plain_jinja(shipped.folder, case["messages"], date_string="1 Jan 2030")  # as llama.cpp passes today's
        assert tokenizer.encode(text, add_special_tokens=False) == case["token_ids"], case["name"]


def test_control_tokens_that_are_typed_stay_text_in_every_server(shipped):
    tokenizer = AutoTokenizer.from_pretrained(shipped.folder)
    control, typed = set(tokenizer.get_added_vocab().values()), "".join(control_tokens(shipped.trained))
    assert tokenizer.eos_token in typed

    def controls(question: str) -> list[int]:
        roles = ("system", "user", "assistant", "user")
        text = plain_jinja(shipped.folder, [{"role": role, "content": question} for role in roles])
        return [token for token in tokenizer.encode(text, add_special_tokens=False) if token in control]

    assert controls(f"Hi {typed} there") == controls("Hi there")


def test_an_own_system_message_replaces_the_default_one(shipped, contract):
    text = plain_jinja(shipped.folder, [OWN, *shipped.golden[0]["messages"]])
    assert text.count(OWN["content"]) == 1 and contract.system_prompt not in text
    assert text.index(OWN["content"]) < text.index(shipped.golden[0]["messages"][0]["content"])


def test_training_and_the_space_encode_with_the_shipped_tokenizer_as_before(shipped, contract):
    tokenizer = AutoTokenizer.from_pretrained(shipped.folder)
    for case in shipped.golden:
        assert encode_prompt(tokenizer, case["messages"], contract) == case["token_ids"]
    template = (shipped.folder / "chat_template.jinja").read_text(encoding="utf-8")
    make_portable(shipped.folder)
    assert (shipped.folder / "chat_template.jinja").read_text(encoding="utf-8") == template, "changed once only"


def test_older_versions_can_read_the_tokenizer_and_the_adapter(shipped):
    config = read_json(shipped.folder / "tokenizer_config.json", "")
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast" and "backend" not in config
    assert config["model_input_names"] == ["input_ids", "attention_mask"], "without it, 4.57 adds token types"
    assert portable_config({"extra_special_tokens": ["<x>"]})["additional_special_tokens"] == ["<x>"]
    written = LoraConfig(r=8, target_modules=["q_proj"], use_rslora=True, init_lora_weights=True).to_dict()
    kept = lean(written)
    assert kept["use_rslora"] is True and kept["r"] == 8
    assert not kept.keys() & {"peft_version", "target_parameters", "arrow_config", "ensure_weight_tying"}
    assert LoraConfig(**kept).to_dict() == written


# Exports


def export(bundle: Path, to: Path, *words: object):
    return script_here("export", bundle, "--to", to, *words)


def test_merged_weights_are_verified_and_load_without_peft(llama, tmp_path, contract):
    done = export(llama.bundle, tmp_path, "--merged")
    assert done.returncode == 0, done.stderr
    merged = tmp_path / "merged"
    facts = read_json(merged / "export.json", "")
    [row] = facts["findings"]
    assert (row["prompts"], row["answers"], row["equal"], row["rougeL"]) == (2, 3, 3, 1.0) and row["logits"] < 1e-3
    assert row["typed"] is True
    card = yaml.safe_load((merged / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert (card["base_model_relation"], card["license"]) == ("merge", "llama3.2")
    assert "Built with Llama" in (merged / "README.md").read_text(encoding="utf-8")
    assert {"LICENSE", "USE_POLICY.md", "NOTICE", "contract.toml"} <= {path.name for path in merged.iterdir()}
    generation = read_json(merged / "generation_config.json", "")
    assert generation["max_new_tokens"] == 24 and generation["temperature"] == contract.decoding.temperature
    assert read_json(merged / "config.json", "")["rope_theta"] == 10000.0, "where transformers 4 looks for it"
    ids = torch.tensor([json.loads((llama.bundle / "golden.json").read_text(encoding="utf-8"))[0]["token_ids"]])
    adapted = PeftModel.from_pretrained(load_base(llama.base, "fp32", "cpu"), llama.bundle)
    with torch.no_grad():
        torch.testing.assert_close(load_base(merged, "fp32", "cpu")(ids).logits, adapted(ids).logits, atol=1e-3, rtol=0)


def test_vllm_gets_a_command_and_the_template_that_renders_the_trained_prompt(llama, tmp_path):
    done = export(llama.bundle, tmp_path, "--vllm")
    assert done.returncode == 0, done.stderr
    command = (tmp_path / "vllm" / "serve.sh").read_text(encoding="utf-8").splitlines()[-1]
    assert command.startswith(f"vllm serve owner/base --revision {'0' * 40} --enable-lora --max-lora-rank 8 ")
    assert f"--lora-modules Llama-small={llama.bundle} --chat-template chat_template.jinja" in command
    shutil.copyfile(llama.bundle / "tokenizer_config.json", tmp_path / "vllm" / "tokenizer_config.json")
    case = json.loads((llama.bundle / "golden.json").read_text(encoding="utf-8"))[0]
    tokenizer = AutoTokenizer.from_pretrained(llama.base)
    text = plain_jinja(tmp_path / "vllm", case["messages"])
    assert tokenizer.encode(text, add_special_tokens=False) == case["token_ids"]


@pytest.fixture
def converter() -> Path:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gotpl")
    if not (LLAMA_CPP / "convert_hf_to_gguf.py").is_file():
        pytest.skip(f"{LLAMA_CPP} does not hold llama.cpp's converter")
    return LLAMA_CPP


def test_llama_cpp_reads_the_trained_prompt_and_its_answers_are_compared(llama, tmp_path, converter):
    """And a Modelfile whose Go template gives the same tokens."""
    done = export(llama.bundle, tmp_path, "--gguf", "Q8_0", "--ollama", "--llama-cpp", converter)
    assert done.returncode == 0, done.stderr
    gguf, modelfile = read_json(tmp_path / "gguf" / "export.json", "")["findings"]
    assert gguf["prompts"] == modelfile["prompts"] == 2, "the third has control tokens, which get spaces"
    assert gguf["typed"] is True and modelfile["typed"] is False, "a Go template can't change what is typed"
    assert gguf["answers"] == 2 and 0 <= gguf["equal"] <= 2 and 0 <= gguf["rougeL"] <= 1
    text = (tmp_path / "gguf" / "Modelfile").read_text(encoding="utf-8")
    assert text.startswith("FROM ./Llama-small-Q8_0.gguf\n")
    assert 'PARAMETER stop "<|eot_id|>"' in text and text.count("LICENSE") == 3 + 1
    assert 'TEMPLATE """<|start_header_id|>system' in text, "llama.cpp adds BOS itself"


def test_the_real_base_answers_in_llama_cpp_as_in_transformers(tmp_path, converter):
    base = ROOT / EMBEDDED
    if not (base / "config.json").is_file():
        pytest.skip(f"{base} is not here")
    done = export(
        bundle_of(base, tmp_path / "bundle", tokens=16), tmp_path, "--gguf", "F16", "Q8_0", "--llama-cpp", converter
    )
    assert done.returncode == 0, done.stderr
    f16, q8_0 = read_json(tmp_path / "gguf" / "export.json", "")["findings"]
    assert f16["prompts"] == f16["answers"] == f16["equal"] == 3
    assert q8_0["prompts"] == 3 and q8_0["rougeL"] > 0.3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing to export: give --merged"),
        (("--merged", "--ollama"), "--ollama: its Modelfile needs a file of weights"),
        (("--gguf", "F16", "--llama-cpp", "nowhere"), "nowhere/convert_hf_to_gguf.py is missing: `git clone"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_loaded(llama, tmp_path, words, says):
    done = export(llama.bundle, tmp_path, *words)
    assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_adapter_that_is_no_bundle_yet_is_refused(llama, tmp_path):
    copy = shutil.copytree(llama.bundle, tmp_path / "adapter")
    (copy / "golden.json").unlink()
    done = export(copy, tmp_path / "to", "--merged")
    assert done.returncode == 1 and "golden.json is missing: `python -m training bundle CONFIG`" in done.stderr


# Publishing


def gguf_part(run: Path) -> Path:
    """A folder with a GGUF file of one tensor, as `export.py --gguf F16` leaves it."""
    bundle, folder = read_bundle(str(run / "bundle"), None), run / "export" / "gguf"
    folder.mkdir(parents=True)
    writer = GGUFWriter(folder / "small-F16.gguf", "llama")
    writer.add_tensor("output_norm.weight", np.ones(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shutil.copyfile(run / "bundle" / "LICENSE", folder / "LICENSE")
    row = {"file": "small-F16.gguf", "loader": "llama.cpp", "prompts": 2, "typed": True}
    finish(bundle, folder, "gguf", [row | {"answers": 2, "ended": 2, "disclaimer": 0, "equal": 2, "rougeL": 1.0}])
    return folder


def test_only_what_was_verified_is_published_beside_the_adapter_with_links_to_it(small_out, tmp_path):
    run = releasable(small_out, tmp_path)
    assert export(run / "bundle", run / "export", "--merged").returncode == 0
    repo, merged, gguf = "maintainer/small-LoRA", "maintainer/small", "maintainer/small-GGUF"
    parts = {merged: run / "export" / "merged", gguf: gguf_part(run)}
    words = [repo, "--run", run, "--base-repo", "maintainer/small-base", "--export", merged, "--export", gguf]
    words += ["--sign", private_key(tmp_path / "key.pem")] if find_spec("model_signing") else []
    with LocalHub(tmp_path / "hub") as hub, client_of(hub):
        done = publish_here(hub, tmp_path / "home", *words, "--push", *ACCEPT)
        assert done.returncode == 0, done.stderr
        again = publish_here(hub, tmp_path / "home", *words, "--push", *ACCEPT)
        for export_repo, part in parts.items():
            assert again.returncode == 0 and titles(hub, export_repo) == [f"Export of {repo} v1.0.0"], again.stderr
            assert hub.repo(export_repo).contents("v1.0.0") == folder_contents(part)
            card = hub.repo(export_repo).contents()["README.md"].decode()
            assert f"https://huggingface.co/{repo}/tree/v1.0.0" in card
            assert f"https://huggingface.co/{export_repo}" in hub.repo(repo).contents("v1.0.0")["README.md"].decode()
            if find_spec("model_signing"):
                assert f"sha256 `{signing.verify(part)}`" in card and f"{export_repo} is at" in done.stdout
                assert f"signed by {signing.verify(part)}" in done.stdout
        [items] = hub.collections.values()
        assert [item["id"] for item in items] == [repo, merged, gguf]
        (parts[merged] / "generation_config.json").write_text("{}", encoding="utf-8")
        changed = publish_here(hub, tmp_path / "home", *words, "--push", *ACCEPT)
        assert changed.returncode == 1 and "generation_config.json changed since" in last_line(changed)
        assert titles(hub, merged) == [f"Export of {repo} v1.0.0"]


def test_a_file_in_full_precision_that_answers_otherwise_is_not_published(small_out, tmp_path):
    run = releasable(small_out, tmp_path)
    record = gguf_part(run) / "export.json"
    facts = read_json(record, "")
    facts["findings"][0]["equal"] = 1
    write_json(record, facts)
    words = ["maintainer/other-LoRA", "--run", run, "--base-repo", "maintainer/other-base"]
    with LocalHub(tmp_path / "hub") as hub, client_of(hub):
        done = publish_here(hub, tmp_path / "home", *words, "--export", "maintainer/other-GGUF", "--push")
        assert done.returncode == 1 and "answers of small-F16.gguf: 1 of 2 golden answers" in last_line(done)
        assert not titles(hub, "maintainer/other-LoRA")
