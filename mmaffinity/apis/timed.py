"""What can be timed: jobs, precisions, backends, and changes of a config. The command's help imports it without torch."""

from typing import Any

MODES = ('classification', 'detection', 'both')
JOBS = (*MODES, 'train', 'data')
PRECISIONS = ('float32', 'bfloat16', 'float16')
# The precisions of each backend; bfloat16 is skipped on processors that only emulate it.
ENGINES = {
    'torch': ('float32', 'bfloat16'),
    'torch.compile': ('float32', 'bfloat16'),
    'onnxruntime': ('float32', 'int8'),
    'openvino': ('float32', 'bfloat16', 'int8'),
}
# The config fields of each change; 'precision' is an argument of Benchmark. Changes of the optimizer affect only training.
ABLATIONS: dict[str, dict[str, Any]] = {
    'RoIAlign sample by sample': {
        'model.roi_head.bbox_roi_extractor.roi_layer.type': 'RoIAlign',
        'model.roi_head.mask_roi_extractor.roi_layer.type': 'RoIAlign',
    },
    'slice head not folded': {'model.roi_head.cls_head.type': 'AffinityClsHead'},
    'three channels, ResNet': {'model.backbone.type': 'ResNet', 'model.data_preprocessor.num_channels': 3},
    'features channels first': {'model.backbone.channels_last': False},
    'BatchNorm not folded': {'model.backbone.fold_norm': False},
    'backbone compiled': {'model.compile_parts': ['backbone']},
    'RPN head compiled': {'model.compile_parts': ['rpn_head']},
    'slice head compiled': {'model.compile_parts': ['roi_head.cls_head']},
    'bfloat16': {'precision': 'bfloat16'},
    'float16': {'precision': 'float16'},
    # The schedules use fused=True, which excludes foreach.
    'Adam, not fused': {'optim_wrapper.optimizer.fused': False},
    'Adam, foreach': {'optim_wrapper.optimizer.fused': False, 'optim_wrapper.optimizer.foreach': True},
}
