"""The pages beside an answer: which are found, when there are none, and what is quoted of them."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import ROOT, SHARED, command
from pyarrow import parquet

from space import sources

sys.path.insert(0, str(ROOT / "scripts"))
from measure_sources import dcg, key, measured, read_judgements

ASTHMA = (
    "What are the symptoms of asthma? Asthma is a disease of the airways. Many people cough at night. Wheezing is a "
    "whistling sound. It is heard when breathing out. Call a doctor if it gets worse."
)
PHENOTYPES = (
    "The Human Phenotype Ontology provides the following list of signs and symptoms for Noonan syndrome. "
    "If the information is available, the table below says how often. Signs and Symptoms Webbed neck 90% High forehead."
)
COLUMNS = ("document_source", "document_url", "question_id", "question_focus", "question_type", "answer")
ROWS = [
    ("NHLBI", "https://a.gov/asthma", "1-2", "Asthma", "symptoms", ASTHMA),
    ("ADAM", "https://b.gov/asthma", "2-1", "Asthma", "symptoms", ASTHMA),
    ("NHLBI", "https://a.gov/asthma", "1-1", "Asthma", "information", "Asthma is a disease."),
    ("ADAM", "https://b.gov/gout", "3-1", "Gout", "treatment", None),
    ("GARD", "https://c.gov/noonan", "4-1", "Noonan syndrome", "symptoms", PHENOTYPES),
    ("GHR", "https://d.gov/noonan", "5-1", "Noonan syndrome", "treatment", "These resources address it: - A - B"),
    ("NIDDK", "https://e.gov/diarrhea", "6-1", "Diarrhea", "causes", "Germs cause diarrhea."),
    ("ADAM", "https://b.gov/rib", "7-1", "Ribcage pain", "causes", None),
    ("CDC", "javascript:alert(1)", "8-1", "Cholera", "information", "Cholera is a disease."),
    ("GHR", "https://d.gov/sad", "9-1", "Seasonal affective disorder", "information", "Some are sad in winter."),
    ("CDC", "https://f.gov/flu", "10-1", "Flu", "information", "Being ill makes some people sad and tired."),
    ("CDC", "https://f.gov/grief", "11-1", "Grief", "information", "To be sad is human."),
]
SYNONYMS = {"Seasonal affective disorder": "SAD|Winter depression", "Gout": "Podagra"}


def rows() -> list[dict[str, str | None]]:
    table = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    return [
        row
        | {
            "question": f"What is the {row['question_type']} of {row['question_focus']} ?",
            "synonyms": SYNONYMS.get(row["question_focus"]),
        }
        for row in table
    ]


def write_table(path: Path) -> Path:
    """A small table of pages, for other tests too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows()), path)
    return path


@pytest.fixture
def table(tmp_path) -> Path:
    return write_table(tmp_path / "table.parquet")


@pytest.fixture
def index(table, monkeypatch) -> sources.Index:
    monkeypatch.setattr(sources, "_index", None)
    sources.load(table)
    return sources._index


def titles(question: str) -> list[str]:
    return [page.title for page in sources.find(question)]


def test_before_a_table_is_loaded_no_page_is_found_and_none_can_be_looked_up(monkeypatch):
    monkeypatch.setattr(sources, "_index", None)
    assert not sources.ready() and sources.find("What is asthma?") == []
    assert sources.pages("What is asthma?") is None


def test_the_kind_that_is_asked_for_comes_first(index):
    assert titles("What are the symptoms of asthma?")[0] == "Asthma: symptoms"
    assert titles("signs of asthma")[0] == "Asthma: symptoms"
    assert titles("What is asthma?")[0] == "Asthma"


def test_a_page_is_listed_once_with_its_best_part(index):
    pages = sources.find("asthma symptoms")
    assert sorted(page.url for page in pages) == ["https://a.gov/asthma", "https://b.gov/asthma"]
    assert {page.question_id for page in pages} == {"1-2", "2-1"}


def test_at_most_k_pages_are_listed_best_first(index):
    pages = sources.find("asthma symptoms", k=2)
    assert len(sources.find("asthma symptoms", k=1)) == 1
    assert 1 >= pages[0].score >= pages[1].score >= sources.LEAST


@pytest.mark.parametrize(
    "question", ["diahrrea, what causes it", "Hi, my son has DIARHEA since monday. why?? thank you", "diarrheas cause"]
)
def test_misspelled_names_are_understood(index, question):
    assert titles(question) == ["Diarrhea: causes"]


def test_a_long_misspelled_personal_question_finds_the_page_that_it_asks_for(index):
    asked = "Hi, my sons asthama is realy bad at nite and we are worried all the time, what are teh signs of it?"
    assert titles(asked)[0] == "Asthma: symptoms"


def test_a_synonym_names_a_page_and_two_words_may_be_written_as_one(index):
    assert titles("how is podagra treated") == ["Gout: treatment"]
    assert titles("what causes rib cage pain") == ["Ribcage pain: causes"]


def test_an_acronym_that_is_a_word_is_meant_only_in_capitals(index):
    assert "Seasonal affective disorder" not in titles("I am so sad")
    assert titles("What is SAD?") == ["Seasonal affective disorder"]
    assert "Seasonal affective disorder" not in titles("I AM SO SAD")


@pytest.mark.parametrize(
    "question", ["", "   ", "?!", "hello", "define?", "who won the world cup", "¿Qué es eso?", "🙂"]
)
def test_nothing_is_found_where_nothing_fits(index, question):
    assert sources.find(question) == []


def test_part_of_a_name_is_not_enough(index):
    assert titles("noonan syndrome symptoms") == ["Noonan syndrome: symptoms"]
    assert titles("which symptoms does a syndrome have") == []


def test_the_passage_is_the_part_that_fits_and_quotes_the_page(index):
    [nhlbi] = [page for page in sources.find("asthma symptoms: wheezing at night") if page.document_source == "NHLBI"]
    assert nhlbi.passage.startswith("Asthma is a disease of the airways.") and "Wheezing" in nhlbi.passage
    assert nhlbi.passage in ASTHMA


def test_texts_under_copyright_are_linked_and_never_quoted(index):
    [adam] = [page for page in sources.find("symptoms of asthma") if page.document_source == "ADAM"]
    assert adam.passage == "" and adam.url == "https://b.gov/asthma"
    assert adam.publisher == "MedlinePlus Medical Encyclopedia"


def test_lists_of_links_and_announcements_of_a_table_are_not_quoted(index):
    [page] = sources.find("symptoms of noonan syndrome")
    assert page.passage.startswith("Signs and Symptoms Webbed neck")
    [page] = sources.find("treatment of noonan syndrome", k=1)
    assert page.document_source == "GHR" and page.passage == ""


@pytest.mark.parametrize("answer", ["", "Why?", "You can use the dictionary."])
def test_where_no_sentence_is_left_there_is_no_passage(answer):
    assert sources.passage(answer, ["why"]) == ""


def test_long_sentences_are_cut_at_a_word(index):
    text = sources.passage("Symptoms are - " + "wheezing - " * 200, ["symptom"])
    assert len(text) <= sources.SENTENCE + 2 and text.endswith(" …") and "wheezin " not in text


def test_only_web_addresses_become_links(index):
    assert titles("What is cholera?") == []


def test_what_is_quoted_is_credited_and_every_link_has_its_year(index):
    nhlbi, adam = sorted(sources.find("asthma symptoms"), key=lambda page: page.publisher, reverse=True)
    assert "CC BY 4.0" in nhlbi.credit and nhlbi.passage
    assert adam.document_source == "ADAM" and not adam.credit and not adam.passage
    assert nhlbi.year == adam.year == 2019


def test_the_sample_is_marked_as_no_page_of_the_nih(monkeypatch):
    monkeypatch.setattr(sources, "_index", None)
    sources.load(ROOT / "training" / "data" / "sample.csv")
    gout = sources.find("How is gout treated?")
    assert gout[0].title == "Gout: treatment" and len({page.title for page in gout}) == len(gout)
    assert all(not page.url and page.publisher.startswith("Sample text of this project") for page in gout)
    assert all(page.passage for page in gout)
    assert not any("NIH" in page.credit or "MedQuAD" in page.credit for page in gout)


def test_a_table_that_cannot_be_used_is_named_with_the_reason(tmp_path, table):
    with pytest.raises(FileNotFoundError, match="missing"):
        sources.load(tmp_path / "none.parquet")
    parquet.write_table(parquet.read_table(table).drop_columns(["document_url"]), table)
    with pytest.raises(ValueError, match=r"lavita/MedQuAD.*document_url"):
        sources.load(table)
    other = tmp_path / "other.csv"
    other.write_text("name,age\nx,7\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.csv is not this project's sample"):
        sources.load(other)
    table.write_text("qtype,Question,Answer\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"table\.parquet"):
        sources.load(table)


def test_a_table_that_cannot_be_used_leaves_the_one_in_use(index, tmp_path):
    with pytest.raises(FileNotFoundError):
        sources.load(tmp_path / "none.parquet")
    assert sources._index is index


def test_every_collection_of_medquad_has_a_readable_name():
    publishers, copyrighted = sources.COLLECTION["publishers"], sources.COLLECTION["copyrighted"]
    assert all(name != short or name == "CDC" for short, name in publishers.items())
    assert publishers.keys() >= set(copyrighted)


def test_a_figure_counts_what_nobody_judged_as_wrong_and_an_empty_list_as_nothing():
    asked = {"1": "a", "2": "b", "3": "c"}
    judged = {"1": {"X_1_Sec1": 3, "X_1_Sec2": 1}, "2": {"X_2_Sec1": 2}}
    pages = {"a": ["X_1_Sec1", "X_9_Sec9"], "b": [], "c": ["X_9_Sec9"]}
    figures = measured(asked, judged, pages.__getitem__)
    assert {name: round(figure["mean"], 3) for name, figure in figures.items()} == {
        "average": 1.0,  # 3, nothing, unjudged
        "useful_shown": 0.5,
        "coverage": 0.667,
        "ndcg": round(dcg([3, 0]) / dcg([3, 1]) / 2, 3),  # the third question has no page to be found
    }


def test_of_two_judgements_the_higher_counts_and_pages_keep_their_names(tmp_path):
    path = tmp_path / "judgements.tsv"
    path.write_text(
        "question\tanswer\tscore\n1\tGARD_0000001_Sec2.txt\t2\n1\tGARD_0000001_Sec2.txt\t4\n"
        "1\tMPlusHerbsSuppls_0000076_Sec1.txt\t3\n1\tCancerGov_0000007_3_Sec4.txt\t1\n",
        encoding="utf-8",
    )
    assert read_judgements(path) == {
        "1": {
            key("GARD", "0000001-2"): 3,
            key("MPlusHerbsSupplements", "0000076-1"): 2,
            key("CancerGov", "0000007_3-4"): 0,
        }
    }


def test_the_kept_figures_reach_what_was_asked_for_and_beat_plain_bm25():
    kept = json.loads((ROOT / "space/sources_results.json").read_text(encoding="utf-8"))
    assert kept["threshold"] == sources.LEAST
    of_message = kept["forms"]["message"]
    assert of_message["sources"]["average"]["mean"] >= 0.83 > of_message["plain BM25"]["average"]["mean"]
    assert of_message["sources"]["useful_shown"]["mean"] >= 0.6


@pytest.mark.slow
def test_the_measurement_runs_as_typed_and_repeats_the_kept_figures():
    table, asked = SHARED / "medquad" / "full.parquet", SHARED / "liveqa"
    if not (table.is_file() and asked.is_dir()):
        pytest.skip(f"{table} and {asked} are not here")
    found = command(
        "scripts/measure_sources.py", asked / "questions.jsonl", asked / "judgements.tsv", "--table", table,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == json.loads((ROOT / "space/sources_results.json").read_text(encoding="utf-8"))
