"""Settings of the service as a command reads them."""

from __future__ import annotations

from streamrec.service_settings import misspelt


def test_a_misspelt_variable_is_named_and_the_right_one_guessed() -> None:
    given = ["STREAMREC_HISTROY_CAP", "STREAMREC_HISTORY_CAP", "STREAMREC_DEBUG", "HISTROY", "PATH"]
    (sentence,) = misspelt(given)
    assert sentence.startswith("STREAMREC_HISTROY_CAP is no setting")
    assert sentence.endswith("did you mean STREAMREC_HISTORY_CAP?")
