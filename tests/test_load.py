import csv
import json
import random

import pandas as pd
import pytest
from conftest import SHARED

from training.data.load import UNSPECIFIED, Row, load_rows, read_file, validate
from training.datasets import Columns, local_files

HEADER = "qtype,Question,Answer\n"
DEFAULT = Columns()
ROW = "symptoms,What are the symptoms of Gout ?,Gout causes pain.\n"
OK = HEADER + ROW


def write(folder, text: str | bytes, name: str = "data.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder, text: str | bytes, name: str = "data.csv", columns: Columns = DEFAULT) -> list[Row]:
    return read_file(write(folder, text, name), columns)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has no column Question"),
        ("\ufeff", "has no column Question"),
        (HEADER, "has a header but no rows"),
        ("question,Answer\na,b\n", "has no column Question: it has question, Answer; .*--set question_column=NAME"),
        ("Question,Answer,Answer\na,b,c\n", "has twice the column Answer"),
        (OK.encode() + b"symptoms,caf\xe9,x\n", r"is not UTF-8 \(line 3, byte "),
        (OK + "a,b,c,d\n", r"line 3: 4 fields, but the header has 3 \(qtype, Question, Answer\); the last one is 'd'"),
        (OK + "a,b\n", "line 3: 2 fields, but the header has 3"),
        (OK + 'a,b,"one\ntwo\nthree"\na,b,c,d\n', "line 6: 4 fields"),
        (OK.replace("\n", "\r\n") + "a,b,c,d\r\n", "line 3: 4 fields"),
        ("\n" + OK + "\na,b,c,d\n", "line 5: 4 fields"),
        (OK + 'a,b,"never closed\nand more\n', "line 3: its quotes don't close .* .unexpected end of data"),
        (OK + 'a,b,"never closed\n' + 'a,b,"fine"\n', "line 3: its quotes don't close where the field ends"),
        (OK + 'a,b,"she said \\"rest\\", then left"\n', r'line 3: .* write one inside it twice .*, not \\"$'),
        (OK + 'a,b,"she "said" so"\n', "line 3: its quotes don't close where the field ends"),
        ("qtype;Question;Answer\na;b;c;d\n", "line 2: 4 fields.*quotes around a field that holds ';'"),
    ],
    ids=[
        "empty", "only a mark", "header", "columns", "column twice", "latin-1", "surplus", "short", "after line breaks",
        "CRLF", "blank lines", "open quote", "open quote, then quotes", "backslash", "bare quotes", "semicolons",
    ],
)  # fmt: skip
def test_an_unusable_file_is_an_error_that_names_file_and_line(tmp_path, content, says):
    with pytest.raises(ValueError, match=says) as error:
        read(tmp_path, content)
    assert str(tmp_path / "data.csv") in str(error.value)


@pytest.mark.parametrize("name", ["extra_value", "backslash_quotes", "unquoted_commas"])
def test_the_kinds_of_misread_files_are_refused_at_their_first_wrong_line(name):
    path = SHARED / "cases" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with pytest.raises(ValueError, match=f"{name}.csv line 2: "):
        read_file(path, Columns())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_whatever_the_standard_allows_is_read_as_it_was_meant(tmp_path, delimiter, end, mark):
    cells = ['plain; with, some | signs\tand "quotes"', "two\nlines\n\nand a gap", "'single' \\ backslash", "é ü 中"]
    rows = [Row(question, answer, "t") for question in cells for answer in cells]
    with (tmp_path / "data.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(mark)
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
        writer.writerows([("qtype", "Question", "Answer"), *((row.qtype, *row[:2]) for row in rows)])
    assert read_file(tmp_path / "data.csv", Columns()) == rows


def test_a_field_may_be_longer_than_csv_allows_by_itself(tmp_path):
    assert len(read(tmp_path, HEADER + f"a,b,{'long ' * 40_000}\n")[0].answer) == 200_000


def test_a_random_extra_delimiter_or_quote_is_never_read_without_a_word(tmp_path):
    chosen = random.Random(1)
    for _ in range(200):
        cells = [f"{chosen.choice('abc')} {n} words" for n in range(9)]
        lines = [HEADER, *(",".join(f'"{cell}"' for cell in cells[n : n + 3]) + "\n" for n in (0, 3, 6))]
        line, extra = chosen.randrange(1, 4), chosen.choice([",x", '"', '\\"q\\"'])
        at = chosen.randrange(2, len(lines[line]) - 3) if extra != ",x" else len(lines[line]) - 1
        if lines[line][at - 1] in '",' or lines[line][at] in '",':
            continue  # there it is a pair of quotes, which stands for one, or an empty field
        lines[line] = lines[line][:at] + extra + lines[line][at:]
        with pytest.raises(ValueError, match=f"line {line + 1}: "):
            read(tmp_path, "".join(lines))


def test_a_damaged_parquet_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ValueError, match=r"data\.parquet is not a readable Parquet file"):
        read(tmp_path, "no parquet", "data.parquet")


def test_a_parquet_file_without_the_column_names_those_that_it_has(tmp_path):
    pd.DataFrame({"prompt": ["a"], "Answer": ["b"]}).to_parquet(tmp_path / "data.parquet")
    with pytest.raises(ValueError, match="has no column Question: it has prompt, Answer; "):
        read_file(tmp_path / "data.parquet", Columns())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent.csv", "this file is missing"),
        ("", "no CSV, TSV or Parquet file"),
        ("notes.xlsx", "no CSV, TSV or Parquet file"),
    ],
)
def test_a_wrong_path_is_an_error_that_says_what_to_give(tmp_path, name, says):
    (tmp_path / "notes.xlsx").write_text("x", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=f"{says}; give a .csv, .tsv or .parquet file"):
        local_files(tmp_path / name)


def test_every_format_and_a_folder_of_it_give_the_same_rows(tmp_path):
    rows = load_rows(str(write(tmp_path, OK)), "", Columns())
    assert rows == [Row("What are the symptoms of Gout ?", "Gout causes pain.", "symptoms")]
    folder = tmp_path / "folder"
    folder.mkdir()
    pd.DataFrame(rows, columns=["Question", "Answer", "qtype", "other"]).to_parquet(folder / "data.PARQUET")
    tsv = write(tmp_path, OK.replace(",", "\t"), "data.tsv")
    for source in (folder, folder / "data.PARQUET", tsv):
        assert load_rows(str(source), "", Columns()) == rows


def test_columns_of_any_name_are_read_and_a_type_may_be_missing(tmp_path):
    columns = Columns("q", "a", "kind", "about")
    assert read(tmp_path, "about,a,x,q,kind\nGout,Pain.,-,Hurts?,faq\n", columns=columns) == [
        Row("Hurts?", "Pain.", "faq", "Gout")
    ]
    untyped = read(tmp_path, "Question,Answer\nHurts?,Pain.\n")
    assert validate(untyped)[0][0].qtype == UNSPECIFIED
    with pytest.raises(ValueError, match=r"has no column kind: .*--set qtype_column=NAME"):
        read(tmp_path, OK, columns=Columns(qtype="kind"))
    with pytest.raises(ValueError, match=r"has no column about: .*--set group_column=NAME"):
        read(tmp_path, OK, columns=Columns(group="about"))


def test_every_dropped_and_changed_row_is_counted_by_reason():
    records, dropped, changed = validate(
        [
            Row("What are the symptoms of Gout ?", "Pain.", "symptoms"),
            Row("What are the symptoms of Gout ?", "Pain.", "symptoms"),
            Row(" ", "Pain.", "symptoms"),
            Row("What are the symptoms of Gout ?", " \n ", "symptoms"),
            Row("What  causes Gout ?", "Uric acid.\n   \n\n\n- and more ", "causes"),
            Row("What causes Gout ?", "Another answer.", "causes"),
            *(Row("What causes Acne ?", word) for word in ("nan", "NaN", "N/A", " None ", "null", "NULL", "<NA>", "-")),
            Row("None", "An answer."),
        ]
    )
    missing = "(empty, or a word for a missing value: nan, N/A, null, …)"
    assert dropped == {
        "exact duplicate": 1,
        f"no question {missing}": 2,
        f"no answer {missing}": 9,
    }
    assert changed == {"white space settled": 1}
    assert sorted(record.answer for record in records) == ["Another answer.", "Pain.", "Uric acid.\n\n- and more"]


def test_an_answer_that_begins_with_such_a_word_stays():
    records, dropped, _ = validate([Row("Is there a cure?", "None."), Row("Is it bad?", "None that is known.")])
    assert len(records) == 2
    assert not dropped


def test_the_order_of_rows_does_not_matter():
    table = [
        Row("What causes Gout ?", "a", "causes", "Gout"),
        Row("What causes Gout ?", "a", "symptoms", "Acne"),  # a duplicate but for its type and subject
        Row("What causes Acne ?", "b", "causes", "NaN"),
    ]
    records = validate(table)[0]
    assert validate(table) == validate(table[::-1])
    assert {(record.answer, record.subject) for record in records} == {("a", "gout"), ("b", "")}


def test_the_real_file_gives_all_its_rows(real_medquad):
    table = load_rows(str(real_medquad), "", Columns())
    records, dropped, _ = validate(table)
    assert len(table) == 16_407
    assert len(records) + sum(dropped.values()) == 16_407
    assert set(dropped) == {"exact duplicate"}


def test_a_row_keeps_numbers_and_missing_cells_of_a_parquet_file(tmp_path):
    frame = pd.DataFrame({"Question": ["How many?", None], "Answer": [3, 4], "qtype": [None, json.dumps("x")]})
    frame.to_parquet(tmp_path / "data.parquet")
    assert read_file(tmp_path / "data.parquet", Columns()) == [Row("How many?", "3"), Row("", "4", '"x"')]
