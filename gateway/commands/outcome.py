"""What a command came to → its exit code, and the sentence on standard error when it came to nothing.

0 done, 1 it could not be done (one sentence on standard error), 3 done, but the audit trail will not say so (as well),
78 the configuration has problems (each on a line of its own; EX_CONFIG of sysexits.h), 130 interrupted, 141 the reader
of our output went away (what a shell reports for SIGINT and SIGPIPE).
"""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.errors import ANSWERS, ConfigError, GatewayError, NotRecorded, Refused

EXIT_FAILURE: Final = 1
EXIT_NOT_RECORDED: Final = 3
EXIT_CONFIG: Final = 78
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141

_STANDARD_ERROR: Final = 2


def make_output_safe() -> None:
    """See to it that whatever a command prints can be printed, and that no file gets the number of a standard stream.

    A stream that whoever started us has closed (`>&-`) leads nowhere from now on. What the encoding of a terminal does
    not know, or a name out of argv that is no UTF-8, is escaped.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (for as long as the process lives)
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def exit_code_of(command: Callable[[], int]) -> int:
    """Run `command`; what it gives, or the code of what it raises."""
    try:
        code = command()
        sys.stdout.flush()  # here, where a reader that has gone is still noticed in good order
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except Refused as error:
        print(f"gateway: {ANSWERS[error.reason].detail}", file=sys.stderr)
        return EXIT_FAILURE
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return EXIT_NOT_RECORDED if isinstance(error, NotRecorded) else EXIT_FAILURE
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end and would complain about the same pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        print(f"gateway: {_sentence(error)}", file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _sentence(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}." if error.filename else f"{what}."
