"""A new password from the operator: prompted for on a terminal, else one line of standard input. Never from argv, which
every user of the machine can read in the process list.
"""

import getpass
import sys
import unicodedata

from gateway.errors import UsageError


def read_new_password(username: str) -> str:
    """Raises `UsageError` for one that could never log in, or that is likely not what was meant."""
    password = _prompt_twice(username) if sys.stdin.isatty() else _read_line()
    _check(password)
    return password


def _prompt_twice(username: str) -> str:
    try:
        password = getpass.getpass(f"New password of {username}: ")
        again = getpass.getpass("Once more: ")
    except EOFError:
        raise UsageError("No password was given; nothing was changed.") from None
    if password != again:
        raise UsageError("The two passwords differ; nothing was changed. Try again.")
    return password


def _read_line() -> str:
    """Standard input to its end, without one line end."""
    from gateway.auth.passwords import MAX_PASSWORD_BYTES

    line = sys.stdin.buffer.read(MAX_PASSWORD_BYTES + 3)  # the line end, and one byte to tell that there is more
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line:
        raise UsageError("Standard input has several lines; it must hold the password alone, in one line.")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise UsageError("The password on standard input is not UTF-8; encode it so.") from None


def _check(password: str) -> None:
    from gateway.auth.passwords import MAX_PASSWORD_BYTES

    if not password:
        raise UsageError("The password is empty; give one on the terminal or as one line of standard input.")
    if len(password.encode(errors="replace")) > MAX_PASSWORD_BYTES:
        raise UsageError(f"The password is longer than {MAX_PASSWORD_BYTES} bytes, which log-in refuses; shorten it.")
    # Log-in strips, as SimpleJWT does, and compares the rest.
    if password != password.strip():
        raise UsageError("The password begins or ends with white space, which log-in removes; choose another one.")
    # Cc: NUL is refused at log-in; the others come of an arrow key or a pasted line end, not of a will. Cs: a terminal
    # whose encoding is not the locale's.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password):
        raise UsageError("The password holds a control character or a broken one; choose another one.")
