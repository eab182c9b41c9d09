"""The result of a scan, accumulated slice by slice."""

from dataclasses import dataclass, field

from .lungs import METHOD
from .records import SliceRecord


@dataclass
class ScanSummary:
    """Accumulate slices in constant memory; :meth:`to_dict` returns the scan's result."""

    num_slices: int = 0
    num_lesions: int = 0
    num_slices_with_lesions: int = 0
    _sums: dict[str, float] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _areas_px: int = 0
    _area_mm2: float = 0.0
    _volume_ml: float = 0.0
    _areas_known: bool = True
    _volumes_known: bool = True
    _most: tuple | None = None
    _lung_px: int = 0
    _lung_lesions_px: int = 0
    _lung_slices: int = 0

    def add(self, record: SliceRecord) -> None:
        """Add the next slice."""
        self.num_slices += 1
        for name, probability in record.probabilities.items():
            self._sums[name] = self._sums.get(name, 0.0) + probability
            self._counts.setdefault(name, 0)
        if record.label is not None:
            self._counts[record.label] = self._counts.get(record.label, 0) + 1
        self.num_lesions += len(record.lesions)
        self.num_slices_with_lesions += bool(record.lesions)
        self._areas_px += record.lesion_area_px
        if record.lesion_area_mm2 is None:
            self._areas_known = False
        else:
            self._area_mm2 += record.lesion_area_mm2
        if record.lesion_volume_ml is None:
            self._volumes_known = False
        else:
            self._volume_ml += record.lesion_volume_ml
        size = record.lesion_area_px if record.lesion_area_mm2 is None else record.lesion_area_mm2
        if record.lesions and (self._most is None or size > self._most[0]):
            self._most = (size, record.index, record.name, record.lesion_area_px, record.lesion_area_mm2)
        if record.lung_area_px:
            self._lung_slices += 1
            self._lung_px += record.lung_area_px
            self._lung_lesions_px += record.lesion_area_px

    def to_dict(self) -> dict:
        """Return the result described in docs/prediction.md."""
        number = max(1, self.num_slices)
        means = {name: total / number for name, total in self._sums.items()}
        label = max(means, key=lambda name: means[name]) if means else None
        most = None
        if self._most is not None:
            _, index, name, area_px, area_mm2 = self._most
            most = dict(index=index, name=name, lesion_area_px=area_px, lesion_area_mm2=area_mm2)
        lungs = None
        if self._lung_px:
            lungs = dict(value=self._lung_lesions_px / self._lung_px, num_slices=self._lung_slices, method=METHOD)
        return dict(
            num_slices=self.num_slices,
            label=label,
            mean_probability=means,
            share_of_slices={name: count / number for name, count in self._counts.items()},
            most_affected_slice=most,
            lesions=dict(
                number=self.num_lesions,
                num_slices=self.num_slices_with_lesions,
                area_px=self._areas_px,
                area_mm2=self._area_mm2 if self._areas_known and self.num_slices else None,
                volume_ml=self._volume_ml if self._volumes_known and self.num_slices else None,
                share_of_lung=lungs,
            ),
        )
