# The same on slices cropped to the body boxes of the lists, as by the authors of COVIDx-CT.
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
