"""Sentences of the page of a micrograph's forecast."""

from probtokens.report.forecast import HotspotBands
from probtokens.report.wording import Wording


def test_numbers_of_sentences_are_in_plain_notation():
    values = {"area": (0.1143, 0.1137, 0.1182), "temperature": (2193.4, 2166.0, 2260.2)}
    curves = {
        name: {"curves": {"time": [0.5], "median": [[median]], "lower_90": [[low]], "upper_90": [[high]]}}
        for name, (median, low, high) in values.items()
    }
    document = {
        "hotspot": {"field": "temperature", "threshold": 875.0},
        "units": {"fields": {"temperature": "K"}, "hotspot": {"area": "µm²", "temperature": "K"}},
        "models": {"tokens": {"hotspot": curves}},
    }
    area, temperature, bands = HotspotBands(document, Wording.of(document), "tokens").told()
    assert area == "Hot-spot area at 0.50 ns: 0.114 µm², 90 % of draws within 0.114 to 0.118 µm²"
    assert temperature == "Hot-spot temperature at 0.50 ns: 2190 K, 90 % of draws within 2170 to 2260 K"
    assert "only simulations tell how often they hold the truth" in bands
