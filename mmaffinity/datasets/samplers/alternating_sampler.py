"""Samplers for alternating training: a segmentation batch, a classification batch, and so on."""

import math
from collections.abc import Iterator

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from mmaffinity.structures import CLASSIFICATION, SEGMENTATION
from mmaffinity.utils.wording import plural

# Distinguish the two random streams of an epoch.
_LESION_STREAM, _SLICE_STREAM = 0, 1


@DATA_SAMPLERS.register_module()
class AlternatingSampler(Sampler):
    """Alternate lesion slices and labelled slices, for the two stages of the paper's training.

    Labelled slices come in random order without repetition; one pass over them is an epoch. Before each of them, a lesion slice
    is drawn at random with replacement. With W distributed processes, each gets every W-th labelled slice; the list is padded
    from its start to a multiple of W, so that all processes take the same number of steps. Each process draws its own lesion
    slices.

    The order depends only on the seed, the epoch, the rank and W, so training resumed at an epoch reproduces it exactly.

    Iteration yields single indices, segmentation first, which suits batches of one slice. For larger batches, add
    ``batch_sampler=dict(type='AlternatingBatchSampler')`` to the data loader; otherwise a batch would mix both tasks.

    Args:
        dataset: a :class:`MultiTaskDataset` with both tasks.
        seed: seed, the same on all processes; None draws one and shares it.
        segmentation_epochs: number of segmentation-only epochs at the start, with lesion slices in place of the labelled
            ones. The paper has none. A detector trained from scratch gives the slice head no useful input at first, and the
            head would have to unlearn what it learned from that.

    Raises:
        ValueError: if the data set lacks a task, or the seed or ``segmentation_epochs`` is negative.
    """

    def __init__(self, dataset: Dataset, seed: int | None = None, segmentation_epochs: int = 0) -> None:
        if not hasattr(dataset, 'task_indices'):
            raise ValueError(
                f'AlternatingSampler needs a MultiTaskDataset, not {type(dataset).__name__}: wrap the '
                'lesion and the slice data set in one, or use DefaultSampler'
            )
        if seed is not None and seed < 0:
            raise ValueError(f'seed={seed} must not be negative')
        if segmentation_epochs < 0:
            raise ValueError(f'segmentation_epochs={segmentation_epochs} must not be negative')
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.segmentation_epochs = segmentation_epochs
        self.dataset = dataset
        self._lesion_slices = dataset.task_indices(SEGMENTATION)
        self._labelled_slices = dataset.task_indices(CLASSIFICATION)
        for indices, task in ((self._lesion_slices, SEGMENTATION), (self._labelled_slices, CLASSIFICATION)):
            if len(indices) == 0:
                raise ValueError(
                    f'AlternatingSampler needs slices of both tasks, but the data set has none for '
                    f'{task}: add a data set of that task to MultiTaskDataset, or use DefaultSampler'
                )

    @property
    def num_slices(self) -> int:
        """Number of labelled slices that this process sees in an epoch."""
        return math.ceil(len(self._labelled_slices) / self.world_size)

    def __iter__(self) -> Iterator[int]:
        for batch in self.batches(1):
            yield from batch

    def __len__(self) -> int:
        return 2 * self.num_slices

    def batches(self, batch_size: int, drop_last: bool = False) -> Iterator[list[int]]:
        """Yield the batches of the current epoch; only the last classification batch may be smaller.

        Segmentation-only epochs have as many batches as the others.
        """
        labelled = self._random(_SLICE_STREAM).permutation(self._labelled_slices)
        labelled = np.resize(labelled, self.num_slices * self.world_size)[self.rank :: self.world_size]
        steps = self.num_steps(batch_size, drop_last)
        alone = self.epoch < self.segmentation_epochs
        shape = (2 * steps if alone else steps, batch_size)
        lesions = self._random(_LESION_STREAM, self.rank).randint(len(self._lesion_slices), size=shape)
        for step, lesion_batch in enumerate(lesions):
            yield self._lesion_slices[lesion_batch].tolist()
            if not alone:
                yield labelled[step * batch_size : (step + 1) * batch_size].tolist()

    def num_steps(self, batch_size: int, drop_last: bool = False) -> int:
        """Return the number of pairs of batches in an epoch."""
        return self.num_slices // batch_size if drop_last else math.ceil(self.num_slices / batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch of the next iteration; called by MMEngine's DistSamplerSeedHook."""
        self.epoch = epoch

    def _random(self, *stream: int) -> np.random.RandomState:
        # SeedSequence, because sums such as seed + epoch + rank coincide across epochs and ranks; RandomState, because NumPy
        # guarantees that its stream never changes.
        sequence = np.random.SeedSequence((self.seed, self.epoch, *stream))
        return np.random.RandomState(np.random.MT19937(sequence))


@DATA_SAMPLERS.register_module()
class AlternatingBatchSampler(Sampler):
    """Group the slices of an :class:`AlternatingSampler` into batches of one task each.

    Args:
        sampler: the sampler.
        batch_size: slices per batch, for both tasks.
        drop_last: omit the last pair of batches if its classification batch would be smaller.

    Raises:
        ValueError: if the sampler has another type, the batch size is not a positive integer, or no batch remains.
    """

    def __init__(self, sampler: AlternatingSampler, batch_size: int, drop_last: bool = False) -> None:
        if not isinstance(sampler, AlternatingSampler):
            raise ValueError(
                f"AlternatingBatchSampler needs sampler=dict(type='AlternatingSampler'), not {type(sampler).__name__}"
            )
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f'batch_size={batch_size!r} must be a positive integer')
        if sampler.num_steps(batch_size, drop_last) == 0:
            raise ValueError(
                f'batch_size={batch_size} with drop_last=True leaves no batch, because each process has only '
                f'{plural(sampler.num_slices, "labelled slice")}: reduce batch_size, or set drop_last=False'
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self.sampler.batches(self.batch_size, self.drop_last)

    def __len__(self) -> int:
        return 2 * self.sampler.num_steps(self.batch_size, self.drop_last)
