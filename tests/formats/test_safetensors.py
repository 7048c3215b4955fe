"""Headers of safetensors files: what they tell, and what is wrong with a file by its header."""

from pathlib import Path

import numpy as np
import pytest
import safetensors
from safetensors import SafetensorError
from safetensors.numpy import save_file

from studio.formats.safetensors import read_header
from tests.spoilt import SPOILT, file_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "a.safetensors"
    tensors = {"one": np.zeros((3, 2), np.float32), "two": np.ones(5, np.float16)}
    save_file(tensors | {"none": np.zeros((0, 4), np.int8)}, file, {"modelspec.title": "A"})
    return file


def test_a_whole_file_tells_names_shapes_and_what_it_says_of_itself(file: Path) -> None:
    header = read_header(file)
    assert header.shapes == {"one": (3, 2), "two": (5,), "none": (0, 4)}
    assert header.says == {"modelspec.title": "A"}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_file_says_why(file: Path, what: str) -> None:
    spoil, why = SPOILT[what]
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(ValueError, match=why) as error:
        read_header(file)
    assert str(error.value).startswith(("it is ", "its ", "4 bytes"))
    with pytest.raises(SafetensorError):  # nor would its own library load it
        safetensors.safe_open(file, "numpy")


@pytest.mark.parametrize(
    "tensors",
    [
        7,
        {"a": 7},
        {"a": {"dtype": "F32", "shape": "x", "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}},
    ],
)
def test_a_header_of_another_form_is_refused_in_words(tmp_path: Path, tensors: object) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(file_of(tensors if isinstance(tensors, dict) else {"a": {}}, bytes(8)))
    if tensors == 7:
        file.write_bytes(b"\x01" + bytes(7) + b"7")
    with pytest.raises(ValueError, match="^(its? |4 bytes)"):
        read_header(file)
