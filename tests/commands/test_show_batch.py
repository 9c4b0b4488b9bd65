# SPDX-License-Identifier: Apache-2.0
import pytest

from transformers_glm.commands import show_batch


pytest.importorskip("rich", reason="colours are an extra")


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(path)
    return str(path)


def run(capsys, *arguments):
    show_batch.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def test_the_lines_of_a_row_stand_under_one_another(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    out = run(capsys, "--tokenizer", folder, "Ada Lovelace wrote the first program.")
    title, *lines, end = out.splitlines()
    assert title.startswith("row 0: ")
    assert end == ""
    assert [line.split()[0] for line in lines] == ["input_ids", "labels", "position_ids", "block_position_ids"]
    tokens, labels, positions, blocks = (line.split()[1:] for line in lines)
    assert len(tokens) == len(labels) == len(positions) == len(blocks)
    assert tokens[0] == "[CLS]"
    assert "[MASK]" in tokens
    sop = tokens.index("<|startofpiece|>")
    assert positions[sop] == str(tokens.index("[MASK]"))
    assert blocks[sop] == "1"
    assert set(labels[:sop]) == {"-"}
    assert labels[-1] == "<|endofpiece|>"


def test_every_line_fits_the_console(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    out = run(
        capsys,
        "--tokenizer",
        folder,
        "机器能思考吗？图灵提出了这个问题。",
        "Ada Lovelace wrote the first program.",
    )
    from rich.cells import cell_len

    assert max(map(cell_len, out.splitlines())) <= 60
    assert out.count("row ") == 2


def test_part_a_and_each_piece_have_a_colour_of_their_own(folder, capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm")
    out = run(capsys, "--tokenizer", folder, "--mask_ratio", "0.4", "Ada Lovelace wrote the first program. " * 3)
    colours = {piece.split("m")[0] for piece in out.split("38;2;")[1:]}
    assert len(colours) >= 3


def test_the_lines_of_a_file_are_the_documents_of_a_packed_batch(folder, capsys, tmp_path):
    pytest.importorskip("binpacking", reason="packing is an extra")
    pytest.importorskip("matplotlib", reason="pictures are an extra")
    (tmp_path / "text.txt").write_text("One document here.\n\nAnother document there.\nA third one is left out.\n")
    out = run(
        capsys, "--tokenizer", folder, "--text", tmp_path / "text.txt", "--batch_size", 2, "--packing",
        "--max_length", 128, "--levels", "token", "document", "--image", tmp_path / "batch.png",
    )  # fmt: skip
    assert "document_ids" in out
    assert "row 1" not in out
    assert (tmp_path / "batch.png").exists()


def test_no_text_is_an_error(folder, capsys):
    with pytest.raises(ValueError, match="Give texts as arguments or a file with --text"):
        run(capsys, "--tokenizer", folder)


def test_a_missing_package_is_named(folder, capsys, monkeypatch):
    monkeypatch.setattr(show_batch, "find_spec", lambda package: None)
    with pytest.raises(SystemExit, match=r"needs rich: pip install transformers-glm\[demo\]"):
        run(capsys, "--tokenizer", folder, "Ada")
