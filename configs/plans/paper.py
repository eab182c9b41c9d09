# The experiments of the paper, for `mmaffinity reproduce DATA_ROOT`: four values of C*, baselines, fine-tuning on iCTCF.
# docs/reproduce.md describes the fields.
title = 'The affinity model: the experiments of the paper'
data = dict(
    cncb_ncov=dict(prepare='convert cncb-ncov {path}', makes='annotations/slices_train.json'),
    ictcf=dict(prepare='convert ictcf {path}', makes='annotations/slices_train.json'),
)
affinities = (8, 16, 32, 64)
runs = [
    # Tables 3, 4 and 5.
    *(
        dict(
            name=f'c{count}',
            config=f'affinity_c{count}',
            data='cncb_ncov',
            tests=dict(results=f'affinity_c{count}', results_left_out=f'affinity_c{count}_left_out'),
        )
        for count in affinities
    ),
    # Table 7: '{c8}' is the last checkpoint of the run c8.
    *(
        dict(name=f'c{count}_ictcf', config=f'affinity_c{count}_ictcf', data='ictcf', options=dict(load_from=f'{{c{count}}}'))
        for count in affinities
    ),
    dict(name='vgg16_ictcf', config='baselines/vgg16_ictcf', data='ictcf'),
    # Table 3.
    dict(name='mask_rcnn_full', config='baselines/mask_rcnn_full', data='cncb_ncov'),
    dict(name='mask_rcnn_heads_only', config='baselines/mask_rcnn_heads_only', data='cncb_ncov'),
    # Table 4.
    dict(name='resnet18', config='baselines/resnet18_slice', data='cncb_ncov'),
    dict(name='single_shot', config='baselines/single_shot', data='cncb_ncov'),
    dict(
        name='covid_ct_mask_net',
        config='baselines/covid_ct_mask_net',
        data='cncb_ncov',
        options=dict(load_from='{mask_rcnn_full}'),
    ),
]
