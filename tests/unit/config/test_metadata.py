"""What a field of the model carries: whoever reads it finds every entry."""

from gateway.config.forms import Form
from gateway.config.metadata import doc, wait


def test_what_is_not_said_is_there_all_the_same() -> None:
    assert doc("A sentence.") == {
        "doc": "A sentence.",
        "form": Form.TEXT,
        "key_form": Form.TEXT,
        "minimum": None,
        "maximum": None,
        "size": False,
        "may_be_unlimited": False,
        "reloads": None,
    }


def test_a_wait_is_never_zero_and_never_for_ever() -> None:
    """asyncio would end a wait of no time before it began."""
    metadata = wait("How long.")
    assert (metadata["doc"], metadata["minimum"], metadata["maximum"]) == ("How long.", 0.001, 86400)
