"""A small phantom."""

# The fewest slices with which every list of both hospitals contains each class.
FEW = dict(
    lesions_train=1,
    lesions_test=1,
    slices_train=3,
    slices_selected=3,
    slices_val=3,
    slices_test=3,
    ictcf_train=2,
    ictcf_test=2,
)
