import pandas as pd
import pytest

from training.data.medquad import load_rows, local_files, read_file, resolve, validate

HEADER = "qtype,Question,Answer\n"
ROW = "symptoms,What are the symptoms of Gout ?,Gout causes pain.\n"


def write(folder, text: str | bytes, name: str = "data.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty: expected the columns qtype, Question, Answer"),
        (HEADER, "has a header but no rows"),
        ("question,Answer\na,b\n", "has no column qtype, Question: it has question, Answer"),
        (HEADER.encode() + b"symptoms,caf\xe9,x\n", "is not UTF-8"),
        (HEADER + "a,b,c\n" + "a,b,c,d,e\n", "is not a readable CSV file: .*line 3"),
        (HEADER + 'a,b,"never closed\n', "is not a readable CSV file"),
    ],
    ids=["empty", "header", "columns", "latin-1", "extra field", "open quote"],
)
def test_an_unusable_file_is_an_error_that_names_it(tmp_path, content, says):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=says) as error:
        read_file(path)
    assert str(path) in str(error.value)


def test_a_damaged_parquet_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ValueError, match="is not a readable Parquet file"):
        read_file(write(tmp_path, "no parquet", "data.parquet"))


def test_a_wrong_path_is_an_error_that_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match="give a Hub id"):
        local_files(tmp_path / "absent.csv")
    with pytest.raises(FileNotFoundError, match="or a folder that holds one"):
        local_files(tmp_path)


def test_csv_parquet_and_a_folder_of_either_give_the_same_rows(tmp_path):
    csv = write(tmp_path, HEADER + ROW)
    rows = load_rows(str(csv), "")
    folder = tmp_path / "folder"
    folder.mkdir()
    rows.to_parquet(folder / "data.parquet")
    for source in (folder, folder / "data.parquet"):
        pd.testing.assert_frame_equal(load_rows(str(source), ""), rows)


def test_a_local_source_is_pinned_by_its_content(tmp_path):
    path = write(tmp_path, HEADER + ROW)
    before = resolve(str(path), "main")
    assert before == resolve(str(path), "main")
    write(tmp_path, HEADER + ROW + ROW)
    assert resolve(str(path), "main").revision != before.revision
    assert before.name == "data.csv", "no path is recorded"


def rows(*triples: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(triples, columns=["qtype", "Question", "Answer"])


def test_every_dropped_and_changed_row_is_counted_by_reason():
    records, dropped, changed = validate(
        rows(
            ("symptoms", "What are the symptoms of Gout ?", "Pain."),
            ("symptoms", "What are the symptoms of Gout ?", "Pain."),
            ("symptoms", " ", "Pain."),
            ("symptoms", "What are the symptoms of Gout ?", " \n "),
            ("causes", "What  causes Gout ?", "Uric acid.\n   \n\n\n- and more "),
            ("causes", "What causes Gout ?", "Another answer."),
        )
    )
    assert dropped == {"exact duplicate": 1, "empty question": 1, "empty answer": 1}
    assert changed == {"white space settled": 1}
    assert sorted(record.answer for record in records) == ["Another answer.", "Pain.", "Uric acid.\n\n- and more"]


def test_the_order_of_rows_does_not_matter():
    table = rows(
        ("causes", "What causes Gout ?", "a"),
        ("symptoms", "What causes Gout ?", "a"),  # a duplicate but for its type
        ("causes", "What causes Acne ?", "b"),
    )
    assert validate(table) == validate(table[::-1])


def test_the_real_file_gives_all_its_rows(real_medquad):
    table = load_rows(str(real_medquad), "")
    records, dropped, _ = validate(table)
    assert len(table) == 16_407
    assert len(records) + sum(dropped.values()) == 16_407
    assert set(dropped) == {"exact duplicate"}
