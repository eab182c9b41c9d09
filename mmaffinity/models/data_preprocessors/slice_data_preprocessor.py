"""Convert grayscale slices to the network's input."""

import json
import math
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

NORMALIZATIONS = ('global', 'slice', 'none')


@MODELS.register_module()
class SliceDataPreprocessor(BaseDataPreprocessor):
    """Scale grayscale slices to [0, 1], normalise them, and repeat them to the channels that the backbone expects.

    Args:
        normalization: 'global' subtracts the training set's mean and divides by its standard deviation. 'slice' uses each
            slice's own mean and unbiased standard deviation, as the published checkpoints expect. 'none' keeps [0, 1].
        mean, std: mean and standard deviation of the training set, for grey levels in [0, 1].
        statistics: path of a ``statistics.json`` that replaces ``mean`` and ``std``. The converters write it, as does
            ``mmaffinity statistics`` for your own data. An absolute path is read immediately. A relative one is below the data
            root of the training slices; :class:`~mmaffinity.engine.GreyLevelStatisticsHook` reads it when training starts, and
            computes the values if it does not exist. The values are saved with the weights, and those of a checkpoint take
            precedence, also when fine-tuning on another data set.
        num_channels: channels of the output.
        non_blocking: passed to ``Tensor.to``.

    Raises:
        ValueError: if ``normalization`` is unknown, only one of ``mean`` and ``std`` is given, ``std`` is not positive, or
            ``statistics`` cannot be read.
    """

    def __init__(
        self,
        normalization: str = 'global',
        mean: float | None = None,
        std: float | None = None,
        statistics: str | None = None,
        num_channels: int = 3,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        if normalization not in NORMALIZATIONS:
            raise ValueError(f'normalization must be one of {NORMALIZATIONS}, not {normalization!r}')
        if (mean is None) != (std is None):
            raise ValueError(f'set both mean and std, or neither: mean is {mean}, std is {std}')
        if std is not None and not std > 0:
            raise ValueError(f'std must be positive, not {std}')
        self.normalization = normalization
        self.num_channels = num_channels
        self.statistics = statistics
        if normalization == 'global':
            if mean is None and statistics is not None and Path(statistics).is_absolute() and Path(statistics).exists():
                mean, std = self.read_statistics(statistics)
            # NaN means unknown. These are buffers so that checkpoints store the values used in training.
            self.register_buffer('mean', torch.tensor(math.nan if mean is None else float(mean)))
            self.register_buffer('std', torch.tensor(math.nan if std is None else float(std)))

    @property
    def needs_statistics(self) -> bool:
        """Whether mean and std are needed but unknown."""
        return self.normalization == 'global' and not bool(torch.isfinite(self.mean))

    def set_statistics(self, mean: float, std: float) -> None:
        """Set the training set's mean and std, for grey levels in [0, 1].

        Raises:
            ValueError: if the normalisation is not 'global', or a value is invalid.
        """
        if self.normalization != 'global':
            raise ValueError(f'normalization={self.normalization!r} does not use the mean and std of a training set')
        if not (math.isfinite(mean) and 0 < std < math.inf):
            raise ValueError(f'mean {mean} and std {std} must be finite, and std positive')
        self.mean.fill_(mean)
        self.std.fill_(std)

    @staticmethod
    def read_statistics(statistics: str | Path) -> tuple[float, float]:
        """Read mean and std from a ``statistics.json``.

        Raises:
            ValueError: if it cannot be read.
        """
        try:
            content = json.loads(Path(statistics).read_text())
            mean, std = float(content['mean']), float(content['std'])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'{statistics} has no valid "mean" and "std" ({error}): delete it, so that training computes them, or '
                'write it with mmaffinity statistics CONFIG'
            ) from error
        if not (math.isfinite(mean) and std > 0):
            raise ValueError(f'{statistics} has mean {mean} and std {std}; both must be finite, and std positive')
        return mean, std

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: 'inputs', a list of N grayscale slices (1, H, W), uint8 or float32 with 8-bit levels (0 to 255), or a
                tensor (N, 1, H, W), or images that already have ``num_channels``; 'data_samples', a list of N samples or
                None.
            training: ignored; training and test slices are treated alike.

        Returns:
            The same keys; 'inputs' is float32 of shape (N, num_channels, H, W).

        Raises:
            ValueError: if the slices differ in size or have the wrong number of channels, or the training set's mean and std
                are unknown.
        """
        data = self.cast_data(data)
        inputs, samples = data['inputs'], data.get('data_samples')
        if not isinstance(inputs, Tensor):
            sizes = {tuple(image.shape) for image in inputs}
            if len(sizes) > 1:
                names = [sample.get('img_path') for sample in samples or []]
                raise ValueError(
                    f'the slices of a batch differ in size: {sorted(sizes)} {names}; '
                    'add dict(type="Resize", scale=(512, 512), keep_ratio=False) to the pipeline'
                )
            inputs = torch.stack(list(inputs))
        if inputs.shape[1] not in (1, self.num_channels):
            raise ValueError(
                f'the images have {inputs.shape[1]} channels, but num_channels of SliceDataPreprocessor is '
                f'{self.num_channels}; load grayscale slices with LoadCTSlice'
            )
        inputs = self.normalize(inputs.float() / 255)
        if samples is not None:
            shape = tuple(inputs.shape[-2:])
            for sample in samples:
                sample.set_metainfo(dict(batch_input_shape=shape, pad_shape=shape))
        return dict(inputs=inputs.expand(-1, self.num_channels, -1, -1).contiguous(), data_samples=samples)

    def normalize(self, grey: Tensor) -> Tensor:
        """Normalise grayscale slices with values in [0, 1], shape (N, 1, H, W)."""
        if self.normalization == 'none':
            return grey
        if self.normalization == 'slice':
            # Slice by slice and with separate calls for mean and std, so that no slice depends on its batch, and to round like
            # the published code, whose affinity layer amplifies one unit in the last place to a thousandth.
            mean = torch.stack([image.mean() for image in grey]).view(-1, 1, 1, 1)
            std = torch.stack([image.std() for image in grey]).view(-1, 1, 1, 1)
            # A slice with a single grey level becomes zero. Its standard deviation does not identify it, because the mean is
            # rounded.
            flat = grey.amax((1, 2, 3), True) == grey.amin((1, 2, 3), True)
            return torch.where(flat, torch.zeros_like(grey), (grey - mean) / std)
        if self.needs_statistics:
            missing = 'the config sets neither them nor statistics'
            if self.statistics:
                known = 'does not exist' if Path(self.statistics).is_absolute() else 'is read only when training starts'
                missing = f'{self.statistics} {known}'
            raise ValueError(
                f'the grey-level mean and std of the training set are unknown: {missing}. Compute them with '
                'mmaffinity statistics CONFIG, let training do so (GreyLevelStatisticsHook), load a checkpoint that '
                "contains them, or set mean and std, or normalization='slice', in the config's data_preprocessor"
            )
        return (grey - self.mean) / self.std
