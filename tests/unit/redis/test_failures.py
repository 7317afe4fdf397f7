"""What an operator reads when the driver raises; nothing of the driver's own texts about connections, which hold more."""

import pytest
import redis.exceptions

from gateway.errors import StoreUnavailable
from gateway.redis.failures import unavailable


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (redis.exceptions.ResponseError("READONLY You can't write against a read only replica."), "is a read-only"),
        (
            redis.exceptions.ResponseError("Error running script (call to f_1): @user_script:1: -OOM command not"),
            "is full; raise its maxmemory",
        ),
        (
            redis.exceptions.ResponseError("The user executing the script can't run this command or subcommand"),
            "does not give this user the rights",
        ),
        (
            redis.exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
            "cannot write to its disk",
        ),
        (
            redis.exceptions.ResponseError("BUSY Redis is busy running a script."),
            "is busy with another client's script",
        ),
        (redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), "has too few replicas"),
        (redis.exceptions.ResponseError("boom \x1b[1m"), "cannot be used (boom \\x1b[1m)."),
        (redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "is starting"),
        (redis.exceptions.MasterDownError("Link with MASTER is down"), "is a replica that has lost its primary"),
        (redis.exceptions.ClusterDownError("The cluster is down"), "is a cluster that is down"),
        (redis.exceptions.MovedError("1 127.0.0.1:7001"), "is a cluster and keeps these keys at another server"),
        (redis.exceptions.TimeoutError("Timeout reading from s3cret"), "does not answer in time."),
        (TimeoutError(), "does not answer in time."),
        (
            redis.exceptions.ConnectionError("Error connecting to s3cret"),
            "cannot be reached: the connection is broken.",
        ),
        (ConnectionResetError(104, "Connection reset by peer"), "cannot be reached: Connection reset by peer."),
        (redis.exceptions.InvalidResponse("Protocol Error: s3cret"), "cannot be used: InvalidResponse."),
        (KeyError("s3cret"), "cannot be used: KeyError."),
    ],
)
def test_s88_a_failure_is_a_sentence_about_the_server(error: Exception, sentence: str) -> None:
    failure = unavailable(error, "Redis at db:6379")
    assert isinstance(failure, StoreUnavailable)
    assert str(failure).startswith(f"Redis at db:6379 {sentence}")
    assert str(failure).endswith(".")
    assert "s3cret" not in str(failure)


def test_what_is_told_already_is_left_as_it_is() -> None:
    told = StoreUnavailable("The server is full.")
    assert unavailable(told, "Redis at db:6379") is told
