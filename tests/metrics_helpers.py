"""What Prometheus would make of the figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Scraped", "scraped"]


@dataclass(frozen=True)
class Scraped:
    """Everything in one exposition: types and meanings by family, values by name and labels."""

    kinds: Mapping[str, str]
    meanings: Mapping[str, str]
    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """One value; it must be there."""
        return self.values[name, frozenset(labels.items())]

    def has(self, name: str, **labels: str) -> bool:
        """Whether there is such a value."""
        return (name, frozenset(labels.items())) in self.values

    def names(self) -> frozenset[str]:
        """Every name that a query can ask for."""
        return frozenset(name for name, _ in self.values)

    def labels(self, name: str) -> Iterator[frozenset[str]]:
        """The labels that values of a name carry."""
        return (frozenset(dict(labels)) for known, labels in self.values if known == name)


def scraped(text: str) -> Scraped:
    """Read an exposition with Prometheus' own reader; what is not in order raises."""
    families = list(text_string_to_metric_families(text))
    return Scraped(
        kinds={family.name: family.type for family in families},
        meanings={family.name: family.documentation for family in families},
        values={
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        },
    )
