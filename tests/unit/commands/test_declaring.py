import argparse

import pytest

from gateway.commands.declaring import add_config_argument, declare_command


def parser_of(*, required: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    command = declare_command(parser.add_subparsers(), "try", summary="try it", details="a\n  b")
    add_config_argument(command, required=required)
    return parser


def test_details_are_printed_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser_of(required=True).parse_args(["try", "--help"])
    assert "\na\n  b" in capsys.readouterr().out


def test_config_is_a_path_and_may_be_optional() -> None:
    assert parser_of(required=True).parse_args(["try", "--config", "a.yaml"]).config.name == "a.yaml"
    assert parser_of(required=False).parse_args(["try"]).config is None


def test_options_cannot_be_abbreviated() -> None:
    with pytest.raises(SystemExit):
        parser_of(required=True).parse_args(["try", "--conf", "a.yaml"])
