# The paper's Table 5: a model trained with affinity_c16.py, tested on the training slices left out of its training.
_base_ = './affinity_c16.py'
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_train_left_out.json',
        test_mode=True,
        pipeline={{_base_.slice_pipeline}},
    )
)
test_evaluator = [dict(type='SliceClassificationMetric')]
