"""Evidence over seeds, the ledger's rows, and prose that takes its numbers from the record."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heldout import claims, ledger, pages, prose
from heldout.double_descent import polynomials


def test_every_seed_must_keep_the_bound_by_default() -> None:
    assert claims.across_seeds(np.array([1.0, 2.0]), below=3).holds
    assert not claims.across_seeds(np.array([1.0, 4.0]), below=3).holds
    assert claims.across_seeds(np.array([1.0, 4.0]), below=3, share=0.5).holds


def test_not_finite_never_keeps_a_bound() -> None:
    assert not claims.across_seeds(np.array([np.inf, 1.0]), above=0.5).holds
    assert not claims.across_seeds(np.array([np.nan, 1.0]), below=2).holds


def test_no_seeds_and_two_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        claims.across_seeds(np.array([]), above=0)
    with pytest.raises(ValueError, match="exactly one"):
        claims.across_seeds(np.array([1.0]), above=0, below=1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e6, 1e6))
def test_above_and_below_agree_with_numpy(values: list[float], bound: float) -> None:
    array = np.array(values)
    assert claims.across_seeds(array, above=bound).holds == bool((array > bound).all())
    assert claims.across_seeds(array, below=bound).holds == bool((array < bound).all())


def test_bootstrap_interval_covers_the_mean_and_shrinks() -> None:
    draw = np.random.default_rng(1)
    few, many = draw.normal(2, 1, 20), draw.normal(2, 1, 2000)
    for sample in (few, many):
        mean, low, high = claims.bootstrap_interval(sample)
        assert low < mean < high
    assert np.diff(claims.bootstrap_interval(many)[1:]) < np.diff(claims.bootstrap_interval(few)[1:])


def test_a_control_is_a_config_or_a_change() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        claims.Control(says="nothing", manipulation=lambda _: claims.Evidence(value=0, bound="", holds=True))


def test_a_changed_verdict_a_holding_control_or_an_unfair_one_is_noticed() -> None:
    result = polynomials.run(polynomials.SMOKE)
    claim = polynomials.CLAIMS[0]
    row = ledger.judge(polynomials, claim, result)
    assert not ledger.changed(row)
    assert ledger.changed(row | {"verdict": "not reproduced"})
    assert ledger.changed(row | {"control_holds": True})
    assert ledger.changed(row | {"manipulation_holds": False})
    never = dataclasses.replace(claim, check=lambda _: claims.Evidence(value=0, bound="never", holds=False))
    assert ledger.changed(ledger.judge(polynomials, never, result))


def test_numbers_in_prose_come_from_the_record() -> None:
    assert prose.fill("p = [[p]], error [[error:.2f]]", {"p": 1500, "error": 0.1234}) == "p = 1,500, error 0.12"
    assert (
        prose.fill("[[a:.0e]] and [[b:.1e]] and [[c]]", {"a": 2e7, "b": -3.14e-12, "c": "see"})
        == "2\u00a0×\u00a010⁷ and \N{MINUS SIGN}3.1\u00a0×\u00a010⁻¹² and see"
    )
    assert prose.fill("[[a:.3f]], [[b]] and [[c]]", {"a": -0.031, "b": -2, "c": "-x"}) == (
        "\N{MINUS SIGN}0.031, \N{MINUS SIGN}2 and -x"
    )
    with pytest.raises(ValueError, match=r"\[\[eror\]\].*error"):
        prose.fill("[[eror]]", {"error": 1.0})


def test_a_figure_carries_alt_text_caption_and_theme(monkeypatch: pytest.MonkeyPatch) -> None:
    result = polynomials.run(polynomials.SMOKE)
    monkeypatch.delenv("HELDOUT_SITE", raising=False)
    bundle = pages.show(polynomials, result, "*First.* [[n]] points & <more>")._repr_mimebundle_()
    html = bundle["text/html"]
    assert 'role="img" aria-label="Test error' in html
    assert "<figcaption><em>First.</em> 15 points &amp; &lt;more&gt;</figcaption>" in html
    assert "var(--heldout-ink" in html
    assert "var(--heldout-c0" in html
    assert "<style" not in html
    assert bundle["image/png"].startswith(b"\x89PNG")
    monkeypatch.setenv("HELDOUT_SITE", "1")
    assert list(pages.show(polynomials, result, "*First.*")._repr_mimebundle_()) == ["text/html"]


def test_the_claims_table_lists_every_claim() -> None:
    result = polynomials.run(polynomials.SMOKE)
    text = str(pages.claims_table(polynomials, result))
    for claim in polynomials.CLAIMS:
        assert claim.says in text
