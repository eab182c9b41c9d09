# Settings shared by all runs. The import registers this package's modules in MMDetection's registries.
custom_imports = dict(imports=['mmaffinity.registration'], allow_failed_imports=False)
default_scope = 'mmdet'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Computes the mean and std of the training slices if the data set has no statistics.json.
    statistics=dict(type='GreyLevelStatisticsHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
# In each stage, some parameters get no gradient.
find_unused_parameters = True

# For TensorBoard, install the extra `tensorboard` and add to the leaf config:
# visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
# No fixed name: each run in a process then gets its own visualizer, which logs to its own folder.
visualizer = dict(type='SliceVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)

log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0, deterministic=False)
# Training and testing record the SHA-256 over their data files; set to False if the data are on a slow network drive.
hash_files = True
