# The paper's plan, scaled down to synthetic slices, for `mmaffinity reproduce --phantom`: it fills every table and figure in
# minutes on two cores. The scores show that the code works and say nothing about CT.
title = 'The affinity model: the experiments of the paper on synthetic slices'
prepare = [
    dict(
        command='phantom {root} --size 160 --lesions-train 48 --lesions-test 16 --slices-train 60 --slices-selected 36 '
        '--slices-val 12 --slices-test 24 --ictcf-train 24 --ictcf-test 24',
        makes='ictcf/lists/test_ictcf.txt',
    ),
]
data = dict(
    cncb_ncov=dict(prepare='convert cncb-ncov {path} --min-area 40', makes='annotations/slices_train.json'),
    ictcf=dict(prepare='convert ictcf {path}', makes='annotations/slices_train.json'),
)
affinities = (8, 16, 32, 64)
size = dict(image_size=(160, 160))
head = 'model.roi_head.cls_head.num_affinities'
short = {**size, 'train_cfg.max_epochs': 2}
runs = [
    *(
        dict(
            name=f'c{count}',
            config='affinity_c8_phantom',
            data='cncb_ncov',
            options={**size, head: count},
            tests=dict(results='affinity_c8_phantom', results_left_out=f'affinity_c{count}_left_out'),
        )
        for count in affinities
    ),
    *(
        dict(
            name=f'c{count}_ictcf',
            config='affinity_c8_phantom_ictcf',
            data='ictcf',
            options={**size, head: count, 'load_from': f'{{c{count}}}'},
        )
        for count in affinities
    ),
    dict(name='vgg16_ictcf', config='baselines/vgg16_ictcf_phantom', data='ictcf', options=short),
    dict(
        name='mask_rcnn_full',
        config='baselines/mask_rcnn_full_phantom',
        data='cncb_ncov',
        options={**size, 'train_cfg.max_epochs': 4},
    ),
    # Phantom configs use no ImageNet weights, so the frozen backbone comes from a trained model.
    dict(
        name='mask_rcnn_heads_only',
        config='baselines/mask_rcnn_heads_only_phantom',
        data='cncb_ncov',
        options={**size, 'train_cfg.max_epochs': 4, 'model.backbone.init_cfg.checkpoint': '{c8}'},
    ),
    dict(name='resnet18', config='baselines/resnet18_slice_phantom', data='cncb_ncov', options=size),
    dict(name='single_shot', config='baselines/single_shot_phantom', data='cncb_ncov', options=short),
    dict(
        name='covid_ct_mask_net',
        config='baselines/covid_ct_mask_net_phantom',
        data='cncb_ncov',
        options={**short, 'load_from': '{mask_rcnn_full}'},
    ),
]
