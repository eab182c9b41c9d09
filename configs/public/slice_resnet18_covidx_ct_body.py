# slice_resnet18_covidx_ct.py on slices cropped to the body boxes in the lists, as the authors of COVIDx-CT do.
_base_ = './slice_resnet18_covidx_ct.py'
body_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='CropToBodyBox'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='PackSliceInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=body_pipeline))
val_dataloader = dict(dataset=dict(pipeline=body_pipeline))
test_dataloader = dict(dataset=dict(pipeline=body_pipeline))
