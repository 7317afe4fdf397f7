"""What a field of the model carries besides its type: its documentation and its bounds."""

from collections.abc import Mapping
from typing import Any

from gateway.config.forms import Form


def doc(
    text: str,
    *,
    form: Form = Form.TEXT,
    key_form: Form = Form.TEXT,
    minimum: float | None = None,
    maximum: float | None = None,
    size: bool = False,
    may_be_unlimited: bool = False,
    reloads: bool | None = None,
) -> Mapping[str, Any]:
    """Field metadata: the sentence that the JSON Schema and the reference show, and what a value must keep to.

    `form` is for texts, `key_form` for the free keys of a mapping. The bounds are seconds for a duration, bytes for a
    size (an int with `size`), a plain number for other ints, and the least number of entries for lists and mappings.
    A size that `may_be_unlimited` is `UNLIMITED_BYTES` then. `reloads`: whether a running gateway takes another value
    up; as the section around when None, and not unless somebody says so.
    """
    return {
        "doc": text,
        "form": form,
        "key_form": key_form,
        "minimum": minimum,
        "maximum": maximum,
        "size": size,
        "may_be_unlimited": may_be_unlimited,
        "reloads": reloads,
    }


def wait(text: str) -> Mapping[str, Any]:
    """Metadata of a time-out: never zero, for asyncio would end the wait before it began, and at most a day."""
    return doc(text, minimum=0.001, maximum=86400)
