# Lesions from NIfTI volumes with masks (`mmaffinity convert nifti-pairs`) and labelled slices from COVID-CT-MD (`mmaffinity
# convert covid-ct-md`). `data_root` is the root of COVID-CT-MD; the grey-level statistics come from its training slices. The
# environment variable NIFTI_PAIRS_ROOT sets the root of the lesions.
_base_ = './cncb_ncov.py'
data_root = '{{$COVID_CT_MD_ROOT:data/covid_ct_md}}'
lesion_root = '{{$NIFTI_PAIRS_ROOT:data/nifti_pairs}}'
# All slices of the validation patients; their number depends on the conversion options.
val_dataloader = dict(dataset=dict(samples_per_class=None))
