# Settings shared by all runs, on top of MMDetection's. The import registers this package's modules with MMDetection.
_base_ = 'mmdet::_base_/default_runtime.py'
custom_imports = dict(imports=['mmaffinity'], allow_failed_imports=False)

default_hooks = dict(
    # Sets the stage of each batch and copies the segmentation branch; no effect on models without stages.
    alternation=dict(type='AlternatingLossHook', copy='every'),
    # Write and load checkpoints completely or not at all, and never with NaN.
    checkpoint=dict(type='WholeCheckpointHook', max_keep_ckpts=3),
    checkpoint_guard=dict(type='CheckpointGuardHook'),
    # Lets a resumed run draw the same random numbers as an uninterrupted one.
    epoch_seed=dict(type='EpochSeedHook'),
    # Stops the run at a NaN or infinite loss, and reports the slices.
    finite_loss=dict(type='FiniteLossHook'),
    # Ends the loader workers of a killed run.
    loader_workers=dict(type='LoaderWorkersHook'),
    # Keeps BatchNorm statistics equal in all processes of a distributed run.
    norm_sync=dict(type='NormSyncHook'),
    # Reads the mean and std of the training slices, or computes them if the data set has no statistics.json.
    statistics=dict(type='GreyLevelStatisticsHook'),
    # Counts the slices skipped by on_unreadable='skip'.
    unreadable_slices=dict(type='UnreadableSlicesHook'),
    # Draws the tested slices if show_dir is set.
    visualization=dict(type='SliceVisualizationHook'),
)

# Needed because some parameters get no gradient in each stage.
find_unused_parameters = True

# For TensorBoard, install the extra `tensorboard` and add to the leaf config:
# visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
# Without a fixed name, each run in a process gets its own visualizer, which logs to its own folder.
visualizer = dict(_delete_=True, type='SliceVisualizer', vis_backends=[dict(type='LocalVisBackend')])

randomness = dict(seed=0, deterministic=False)
# Training and testing record a SHA-256 of their data files; set to False if the data is on a slow network drive.
hash_files = True
