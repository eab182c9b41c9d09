# An example of a custom plan: cross-validation of two values of C* on small synthetic slices.
#     mkdir -p data/small_phantom
#     mmaffinity reproduce data/small_phantom --plan plans/cross_validation_phantom --out work_dirs/cross_validation
# The scores show that the code works and say nothing about CT.
title = 'Cross-validation of two values of C* on synthetic slices'
prepare = [
    dict(
        command='phantom {root} --size 160 --lesions-train 48 --lesions-test 16 --slices-train 60 --slices-selected 36 '
        '--slices-val 12 --slices-test 24 --ictcf-train 24 --ictcf-test 24',
        makes='ictcf/lists/test_ictcf.txt',
    ),
]
data = dict(cncb_ncov=dict(prepare='convert cncb-ncov {path} --min-area 40', makes='annotations/slices_train.json'))
# Training and test read the same lists, so each slice is tested once, by the model that has not seen its patient.
lists = {
    'test_dataloader.dataset.datasets.0.ann_file': 'annotations/lesions_train.json',
    'test_dataloader.dataset.datasets.1.ann_file': 'annotations/slices_train.json',
}
runs = [
    dict(
        name=f'c{count}',
        config='affinity_c8_phantom',
        data='cncb_ncov',
        folds=2,
        options={'image_size': (160, 160), 'model.roi_head.cls_head.num_affinities': count, **lists},
    )
    for count in (8, 16)
]
