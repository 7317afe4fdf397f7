"""The rules of DRF's `CharField`, for the one or two text fields that each endpoint takes (contract §2)."""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.endpoints.answers import RequestError

NON_FIELD_ERRORS: Final = "non_field_errors"


class UploadedFile:
    """A file of a multipart form: never a valid text. Its name is kept because DRF calls one without a name blank."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def validate(data: object, names: Sequence[str]) -> dict[str, str]:
    """The fields `names` of a request body, stripped of white space at both ends; other members are ignored.

    Raises `RequestError` (400) with the faults of all fields at once, in the order of `names`.
    """
    if data is None:
        raise RequestError(400, {NON_FIELD_ERRORS: ["No data provided"]})
    if not isinstance(data, Mapping):
        text = f"Invalid data. Expected a dictionary, but got {type(data).__name__}."
        raise RequestError(400, {NON_FIELD_ERRORS: [text]})
    faults = {name: found for name in names if (found := _faults(data, name))}
    if faults:
        raise RequestError(400, faults)
    return {name: str(data[name]).strip() for name in names}


def _faults(data: Mapping[object, object], name: str) -> list[str]:
    if name not in data:
        return ["This field is required."]
    value = data[name]
    if value is None:
        return ["This field may not be null."]
    text = value.name if isinstance(value, UploadedFile) else value
    if isinstance(text, str) and not text.strip():
        return ["This field may not be blank."]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ["Not a valid string."]
    return _forbidden_characters(str(value).strip())


def _forbidden_characters(text: str) -> list[str]:
    faults = []
    if "\0" in text:
        faults.append("Null characters are not allowed.")
    surrogate = next((char for char in text if "\ud800" <= char <= "\udfff"), None)
    if surrogate is not None:
        faults.append(f"Surrogate characters are not allowed: U+{ord(surrogate):X}.")
    return faults
