"""What an admission judges by, as a configuration without wishes makes it."""

from collections.abc import Mapping

from gateway.auth.bearer import BearerReader
from gateway.auth.identity import IdentityRenderer
from gateway.auth.verifier import TokenVerifier
from gateway.proxy.admission import AdmissionRules


def rules_with(
    verifier: TokenVerifier,
    *,
    scheme: str = "Bearer",
    fields: Mapping[str, str] | None = None,
    roles_claim: str = "roles",
) -> AdmissionRules:
    """`fields` are told to the backend beside the user's id, each out of a claim."""
    return AdmissionRules(
        bearer=BearerReader(schemes=(scheme,)),
        verifier=verifier,
        identity=IdentityRenderer(fields=fields or {}, refuses_unsafe=False),
        roles_claim=roles_claim,
    )
