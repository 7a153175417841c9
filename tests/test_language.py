import pytest

from training.configs import DEMO
from training.data.load import Record, Row, language_warnings, load_rows, validate
from training.datasets import Columns, columns_of

GERMAN = "Gicht ist eine Krankheit, bei der die Gelenke schmerzen und anschwellen, oft in der Nacht und am großen Zeh."
POLISH = "Dna moczanowa jest chorobą, która powoduje silny ból stawów, zwykle w nocy i w dużym palcu u nogi."
CHINESE = "痛风是一种使关节疼痛和肿胀的疾病，常在夜间发作。"
GREEK = "Η ουρική αρθρίτιδα είναι μια νόσος που προκαλεί έντονο πόνο στις αρθρώσεις, συχνά τη νύχτα."
ENGLISH = "Gout is a disease that makes the joints hurt and swell, often at night and in the big toe."


def records(*texts: str) -> list[Record]:
    return validate([Row(f"{text} {n}?", text) for n in range(5) for text in texts])[0]


@pytest.mark.parametrize(
    ("text", "unread"),
    [(GERMAN, "1%"), (POLISH, "6%"), (CHINESE, "100%"), (GREEK, "100%")],
    ids=["German", "Polish", "Chinese", "Greek"],
)
def test_texts_that_rouge_or_the_app_cannot_handle_are_warned_of(text, unread):
    [warning] = language_warnings(records(text))
    assert "mostly not English" in warning and f" {unread} of the letters" in warning
    assert language_warnings(records(ENGLISH)) == []


def test_rouge_really_finds_no_words_where_the_warning_says_so():
    from training.scoring.rouge import rouge_scores

    for text, unread in ((CHINESE, True), (GERMAN, False)):
        assert bool(rouge_scores([text], [text])["rougeL"][0] == 0) == unread
        assert (" 100% of" in language_warnings(records(text))[0]) == unread


def test_a_few_foreign_words_are_no_reason_to_warn():
    assert language_warnings(records(*[ENGLISH] * 8, ENGLISH + " 痛风 Gicht", GERMAN)) == []


def test_the_sample_and_the_real_data_are_not_warned_of(real_medquad):
    for dataset, columns in ((DEMO.dataset, columns_of(DEMO)), (str(real_medquad), Columns())):
        assert language_warnings(validate(load_rows(dataset, "", columns))[0]) == []
